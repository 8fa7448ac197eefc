"""Comparing a folder of label maps with manual ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.evaluation.overlap import dice
from ctct.evaluation.score import VolumeScore, dice_by_region, empty_in, metrics_by_structure
from ctct.io.files import ENDINGS, case_name
from ctct.io.label_maps import check_same_grid, read_labels
from ctct.io.patient_info import patient_and_frame, phase_indices, read_patient_info
from ctct.labels import LV, RV, STRUCTURES, VALUE
from ctct.measurement.volumes import FrameVolumes, frame_volumes, measure_frames

LabelMap = npt.NDArray[np.uint8]

#: A pair in another label order: RV and LV agree less than this as they are, …
_CONFUSED = 0.1
#: … and more than this once exchanged.
_CLEARED = 0.5


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate_folder` found.

    Attributes:
        unit: "mm", or "voxels" where spacing was left out.
        scores: a frame each, in the order of the names.
        indices: patient to the indices (EDV, EF, …) by prediction and by reference, on the same
            frames.
        unpredicted: references without a prediction.
        unreferenced: predictions without a reference.
        failed: case to the reason why it could not be scored.
    """

    unit: str
    scores: tuple[VolumeScore, ...]
    indices: dict[str, tuple[dict[str, float], dict[str, float]]]
    unpredicted: tuple[str, ...]
    unreferenced: tuple[str, ...]
    failed: dict[str, str]


@dataclass(frozen=True)
class EvaluationOptions:
    """How :func:`evaluate_folder` works.

    Attributes:
        distances: compute HD95 and ASSD too, otherwise NaN.
        voxel_units: take every voxel as a cube of side 1, as papers do that leave spacing out.
        label_order: numbering of the predictions, a key of ``ctct.labels.ORDERS``.
        reference_order: numbering of the references.
    """

    distances: bool = True
    voxel_units: bool = False
    label_order: str = "acdc"
    reference_order: str = "acdc"


def evaluate_folder(
    predictions: Path,
    references: Path,
    options: EvaluationOptions | None = None,
    on_case: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Score every prediction that has a reference of the same name.

    Predictions are ``CASE_seg.nii.gz``, references ``CASE_gt.nii.gz`` in any folder below; where
    there is no file of that kind, every NIfTI file counts, under its own name. A frame of a cine
    in which the reference holds nothing at all was not contoured and is left out. A pair that
    cannot be compared is listed with its reason and the others are scored.

    Args:
        predictions: folder of label maps.
        references: folder of label maps, searched recursively.
        options: see :class:`EvaluationOptions`.
        on_case: told the number of cases finished and their total.

    Raises:
        InputError: no pair is found, none can be compared, or two references share a name.
    """
    options = options or EvaluationOptions()
    own = _by_name(predictions.glob("*"), "_seg")
    manual = _by_name(references.rglob("*"), "_gt")
    shared = sorted(own.keys() & manual.keys())
    if not shared:
        raise InputError(
            f"{predictions}: no CASE_seg.nii.gz with a CASE_gt.nii.gz under {references}"
        )
    failed: dict[str, str] = {}
    scores: list[VolumeScore] = []
    volumes: list[_Volumes] = []
    for done, case in enumerate(shared, 1):
        try:
            case_scores, case_volumes = _score_case(case, own[case], manual[case], options)
            scores += case_scores
            volumes.append(case_volumes)
        except InputError as error:
            failed[case] = str(error)
        on_case(done, len(shared))
    if not scores:
        raise InputError("; ".join(failed.values()))
    indices, phases = _measure(volumes)
    return Evaluation(
        unit="voxels" if options.voxel_units else "mm",
        scores=tuple(replace(s, phase=phases.get((s.case, s.frame), "")) for s in scores),
        indices=indices,
        unpredicted=tuple(sorted(manual.keys() - own.keys())),
        unreferenced=tuple(sorted(own.keys() - manual.keys())),
        failed=failed,
    )


@dataclass(frozen=True)
class _Volumes:
    """A case's contoured frames as measured on the prediction and on the reference."""

    case: str
    folder: Path
    own: list[FrameVolumes]
    manual: list[FrameVolumes]


def _by_name(files: Iterable[Path], suffix: str) -> dict[str, Path]:
    found = sorted(p for p in files if p.name.lower().endswith(ENDINGS))
    marked = [p for p in found if case_name(p).endswith(suffix)]
    named: dict[str, Path] = {}
    for path in marked or found:
        name = case_name(path).removesuffix(suffix)
        if name in named:
            raise InputError(f"{path}: {named[name]} has the same name; evaluate the folders apart")
        named[name] = path
    return named


def _score_case(
    case: str, prediction: Path, reference: Path, options: EvaluationOptions
) -> tuple[list[VolumeScore], _Volumes]:
    study, own = read_labels(prediction, options.label_order)
    reference_study, manual = read_labels(reference, options.reference_order)
    check_same_grid(study, reference_study)
    _check_order(prediction, own, manual)
    spacing = (1.0, 1.0, 1.0)
    if not options.voxel_units:
        # The spacing of a lone slice may be unknown, and has no part in any distance.
        slice_mm = reference_study.slice_spacing_mm if reference_study.slices > 1 else 1.0
        spacing = (slice_mm, *reference_study.spacing_mm)
    contoured = [t for t, frame in enumerate(manual) if frame.any()]
    if not contoured:
        raise InputError(f"{reference}: holds no label at all; there is nothing to compare with")
    patient, _ = patient_and_frame(case)
    scores = [
        VolumeScore(
            patient=patient,
            case=case,
            frame=t,
            phase="",
            metrics=metrics_by_structure(own[t], manual[t], spacing if options.distances else None),
            regions=dice_by_region(own[t], manual[t]),
            empty={s: empty_in(own[t], manual[t], VALUE[s]) for s in STRUCTURES},
        )
        for t in contoured
    ]
    volumes = (
        [
            frame
            for frame in frame_volumes(labels, reference_study.voxel_ml, case)
            if frame.index in contoured
        ]
        for labels in (own, manual)
    )
    return scores, _Volumes(case, reference.parent, *volumes)


def _check_order(path: Path, own: LabelMap, manual: LabelMap) -> None:
    def least(rv: str, lv: str) -> tuple[float, float]:
        values = [dice(own == VALUE[a], manual == VALUE[b]) for a, b in ((rv, RV), (lv, LV))]
        return max(values), min(values)

    if least(RV, LV)[0] < _CONFUSED and least(LV, RV)[1] > _CLEARED:
        raise InputError(
            f"{path}: RV and LV are exchanged against the reference; name the order of each with "
            "--label-order and --reference-order"
        )


def _measure(
    cases: list[_Volumes],
) -> tuple[dict[str, tuple[dict[str, float], dict[str, float]]], dict[tuple[str, int], str]]:
    """Indices of each patient by prediction and reference, and the phase of each frame.

    ED and ES are those of ``Info.cfg``, otherwise those of the reference's LV volumes.
    """
    patients: dict[tuple[Path, str], list[tuple[int, _Volumes]]] = {}
    for case in cases:
        patient, number = patient_and_frame(case.case)
        patients.setdefault((case.folder, patient), []).append((number or 0, case))
    indices, phases = {}, {}
    for (folder, patient), members in patients.items():
        members.sort(key=lambda member: member[0])
        manual = [frame for _, case in members for frame in case.manual]
        own = [frame for _, case in members for frame in case.own]
        numbers = [number or frame.index + 1 for number, case in members for frame in case.manual]
        ed, es = phase_indices(read_patient_info(folder), numbers)
        truth = measure_frames(manual, ed, es)
        if truth.ed is None or truth.es is None:
            continue
        indices[patient] = (measure_frames(own, truth.ed, truth.es).indices, truth.indices)
        for phase, at in (("ES", truth.es), ("ED", truth.ed)):
            phases[manual[at].name, manual[at].index] = phase
    return indices, phases
