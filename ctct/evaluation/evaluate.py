"""Compare a folder of label maps with reference label maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ctct.cases.case_names import name_below
from ctct.errors import InputError
from ctct.evaluation.overlap import dice
from ctct.evaluation.score import (
    VolumeScore,
    count_slices,
    dice_by_region,
    empty_in,
    metrics_by_structure,
)
from ctct.io.files import ENDINGS, case_name
from ctct.io.label_maps import align_axes, check_same_grid, read_labels
from ctct.io.patient_info import patient_and_frame, phase_indices, read_patient_info
from ctct.labels import ORDERS, STRUCTURES, VALUE
from ctct.measurement.volumes import FrameVolumes, frame_volumes, measure_frames

LabelMap = npt.NDArray[np.uint8]

#: A structure has the label of another where its Dice is below the first value, and above the
#: second once it is compared with the other.
_MAX_DICE_AS_IS, _MIN_DICE_EXCHANGED = 0.1, 0.5


class IndexPair(NamedTuple):
    """Indices (EDV, EF, …) of a patient by prediction and by reference, on the same frames."""

    prediction: dict[str, float]
    reference: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Result of :func:`evaluate_folder`.

    Attributes:
        unit: of distances: "mm", or "voxels" where spacing is left out.
        scores: one per frame, ordered by the name of the case.
        indices: those of each patient who has an ED and an ES frame.
        unpredicted: references without a prediction.
        unreferenced: predictions without a reference.
        failed: reason for each case that could not be scored.
    """

    unit: str
    scores: tuple[VolumeScore, ...]
    indices: dict[str, IndexPair]
    unpredicted: tuple[str, ...]
    unreferenced: tuple[str, ...]
    failed: dict[str, str]


@dataclass(frozen=True)
class EvaluationOptions:
    """Settings of :func:`evaluate_folder`.

    Attributes:
        distances: whether to compute HD95 and ASSD, which are NaN otherwise.
        voxel_units: take every voxel as a cube of side 1, as papers do that ignore spacing.
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

    Predictions are called ``CASE_seg.nii.gz``, references ``CASE_gt.nii.gz``, in the folder of the
    scan that the case is named after, or anywhere; in a folder without such names, every NIfTI
    file is taken under its own name. Frames of a cine whose reference is
    empty were not contoured and are left out. A pair that cannot be compared is listed with the
    reason, and the others are scored.

    Args:
        predictions: folder of label maps.
        references: folder of label maps, searched recursively.
        options: see :class:`EvaluationOptions`.
        on_case: called with the number of finished cases and their total.

    Raises:
        InputError: no pair was found, none can be compared, or two references share a name.
    """
    options = options or EvaluationOptions()
    predicted = _find_by_case(predictions.glob("*"), "_seg")
    reference = _find_by_case(references.rglob("*"), "_gt", references, predicted)
    cases = sorted(predicted.keys() & reference.keys())
    if not cases:
        raise InputError(
            f"{predictions}: no CASE_seg.nii.gz with a CASE_gt.nii.gz under {references}"
        )
    failed: dict[str, str] = {}
    scores: list[VolumeScore] = []
    volumes: list[_CaseVolumes] = []
    for done, case in enumerate(cases, 1):
        try:
            case_scores, case_volumes = _score_case(case, predicted[case], reference[case], options)
            scores += case_scores
            volumes.append(case_volumes)
        except InputError as error:
            failed[case] = str(error)
        on_case(done, len(cases))
    if not scores:
        raise InputError("; ".join(failed.values()))
    indices, phases = _measure(volumes)
    return Evaluation(
        unit="voxels" if options.voxel_units else "mm",
        scores=tuple(replace(s, phase=phases.get((s.case, s.frame), "")) for s in scores),
        indices=indices,
        unpredicted=tuple(sorted(reference.keys() - predicted.keys())),
        unreferenced=tuple(sorted(predicted.keys() - reference.keys())),
        failed=failed,
    )


@dataclass(frozen=True)
class _CaseVolumes:
    """Volumes of a case's contoured frames; ``folder`` holds the reference."""

    case: str
    folder: Path
    prediction: list[FrameVolumes]
    reference: list[FrameVolumes]


def _find_by_case(
    files: Iterable[Path], suffix: str, folder: Path | None = None, cases: Iterable[str] = ()
) -> dict[str, Path]:
    """Each file under the name of its case: one of ``cases`` by its path below ``folder``, or else
    its own name without ``suffix``.
    """
    nifti = sorted(p for p in files if p.name.lower().endswith(ENDINGS))
    with_suffix = [p for p in nifti if case_name(p).endswith(suffix)]
    by_case: dict[str, Path] = {}
    for path in with_suffix or nifti:
        case = case_name(path).removesuffix(suffix)
        if folder and (below := name_below(path.with_name(case), [folder])) in cases:
            case = below
        if case in by_case:
            raise InputError(
                f"{path}: {by_case[case]} has the same name; evaluate each folder by itself"
            )
        by_case[case] = path
    return by_case


def _score_case(
    case: str, prediction_path: Path, reference_path: Path, options: EvaluationOptions
) -> tuple[list[VolumeScore], _CaseVolumes]:
    study, prediction = read_labels(prediction_path, options.label_order)
    reference_study, reference = read_labels(reference_path, options.reference_order)
    study, prediction = align_axes(study, prediction, reference_study)
    check_same_grid(study, reference_study)
    spacing = (1.0, 1.0, 1.0)
    if not options.voxel_units:
        # The spacing of a single slice may be unknown, and enters no distance.
        slice_mm = reference_study.slice_spacing_mm if reference_study.slices > 1 else 1.0
        spacing = (slice_mm, *reference_study.spacing_mm)
    contoured = [t for t, frame in enumerate(reference) if frame.any()]
    if not contoured:
        raise InputError(
            f"{reference_path}: holds no label at all; there is nothing to compare with"
        )
    for t in contoured:
        _check_order(prediction_path, prediction[t], reference[t])
    patient, _ = patient_and_frame(case)
    scores = [
        VolumeScore(
            patient=patient,
            case=case,
            frame=t,
            phase="",
            metrics=metrics_by_structure(
                prediction[t], reference[t], spacing if options.distances else None
            ),
            regions=dice_by_region(prediction[t], reference[t]),
            slices=count_slices(prediction[t], reference[t]),
            empty={s: empty_in(prediction[t], reference[t], VALUE[s]) for s in STRUCTURES},
        )
        for t in contoured
    ]
    volumes = (
        [
            frame
            for frame in frame_volumes(labels, reference_study.voxel_ml, case)
            if frame.index in contoured
        ]
        for labels in (prediction, reference)
    )
    return scores, _CaseVolumes(case, reference_path.parent, *volumes)


def _check_order(path: Path, prediction: LabelMap, reference: LabelMap) -> None:
    """Refuse a label map (Z, H, W) whose structures have the labels of others.

    Raises:
        InputError: names them, and the order of labels that fits if there is one.
    """
    exchanged = find_exchanged(prediction, reference)
    if not exchanged:
        return
    pairs = ", ".join(f"{a} is {b} of the reference" for a, b in exchanged.items())
    fitting = [
        name
        for name, order in ORDERS.items()
        if name != "acdc" and all(order[b] == VALUE[a] for a, b in exchanged.items())
    ]
    remedy = f", e.g. {fitting[0]} for one of them" if fitting else "; no known order fits"
    raise InputError(
        f"{path}: the labels are exchanged: {pairs}; name the order of each with "
        f"--label-order and --reference-order{remedy}"
    )


def find_exchanged(prediction: LabelMap, reference: LabelMap) -> dict[str, str]:
    """For each predicted structure that has the label of another, that other one.

    Structures that do not overlap with the same one of the reference, but cover another, are taken
    to be exchanged.
    """
    exchanged: dict[str, str] = {}
    for structure in STRUCTURES:
        mask = prediction == VALUE[structure]
        if not mask.any():
            continue
        overlap = {other: dice(mask, reference == VALUE[other]) for other in STRUCTURES}
        best = max(overlap, key=lambda other: overlap[other])
        if overlap[structure] < _MAX_DICE_AS_IS and overlap[best] > _MIN_DICE_EXCHANGED:
            exchanged[structure] = best
    return exchanged


def _measure(
    cases: list[_CaseVolumes],
) -> tuple[dict[str, IndexPair], dict[tuple[str, int], str]]:
    """Indices of each patient, and the phase of each ED and ES frame by case and frame number.

    ED and ES come from ``Info.cfg`` or else from the LV volumes of the reference.
    """
    patients: dict[tuple[Path, str], list[tuple[int, _CaseVolumes]]] = {}
    for case in cases:
        patient, number = patient_and_frame(case.case)
        patients.setdefault((case.folder, patient), []).append((number or 0, case))
    indices: dict[str, IndexPair] = {}
    phases: dict[tuple[str, int], str] = {}
    for (folder, patient), members in patients.items():
        members.sort(key=lambda member: member[0])
        predicted = [frame for _, case in members for frame in case.prediction]
        frames = [frame for _, case in members for frame in case.reference]
        numbers = [number or f.index + 1 for number, case in members for f in case.reference]
        ed, es = phase_indices(read_patient_info(folder), numbers)
        reference = measure_frames(frames, ed, es)
        if reference.ed is None or reference.es is None:
            continue
        prediction = measure_frames(predicted, reference.ed, reference.es)
        indices[patient] = IndexPair(prediction.indices, reference.indices)
        for phase, frame in (("ES", reference.es), ("ED", reference.ed)):
            phases[frames[frame].name, frames[frame].index] = phase
    return indices, phases
