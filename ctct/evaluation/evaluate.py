"""Compare a folder of label maps with reference label maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ctct.cases.case_names import name_below
from ctct.errors import InputError
from ctct.evaluation.overlap import dice
from ctct.evaluation.score import (
    NOT_LABELLED,
    VolumeScore,
    count_slices,
    dice_by_region,
    empty_in,
    find_unlabelled,
    metrics_by_structure,
)
from ctct.io.files import ENDINGS, case_name
from ctct.io.label_maps import align_axes, check_same_grid, read_labels
from ctct.io.patient_info import NameParts, PatientInfo, parse_name, read_patient_info
from ctct.labels import LV, ORDERS, STRUCTURES, VALUE
from ctct.measurement.phases import find_phases
from ctct.measurement.volumes import FrameVolumes, Measurements, frame_volumes

LabelMap = npt.NDArray[np.uint8]

#: A structure has the label of another where its Dice is below the first value, and above the
#: second once it is compared with the other.
_MAX_DICE_AS_IS, _MIN_DICE_EXCHANGED = 0.1, 0.5

#: What :attr:`VolumeScore.empty` says of a structure that the reference lacks.
_LACKING = ("reference", "both", NOT_LABELLED)


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
        allow_exchanged: score a case in which structures have the labels of others, as a network's
            worst predictions may; it is refused otherwise, for its numbering is probably wrong.
    """

    distances: bool = True
    voxel_units: bool = False
    label_order: str = "acdc"
    reference_order: str = "acdc"
    allow_exchanged: bool = False


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
    empty were not contoured and are left out. So are structures that a frame lacks because they
    were not contoured: no reference has them, or see
    :func:`ctct.evaluation.score.find_unlabelled`. A pair that cannot be compared is listed with
    the reason, and the others are scored.

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
    reference = find_references(references, predicted)
    cases = sorted(predicted.keys() & reference.keys())
    if not cases:
        raise InputError(
            f"{predictions}: no CASE_seg.nii.gz with a CASE_gt.nii.gz under {references}"
        )
    failed: dict[str, str] = {}
    scores: list[VolumeScore] = []
    for done, case in enumerate(cases, 1):
        try:
            scores += _score_case(case, predicted[case], reference[case], options)
        except InputError as error:
            failed[case] = str(error)
        on_case(done, len(cases))
    if not scores:
        first, *others = failed.values()
        more = f"; {len(others)} more cannot be compared" if others else ""
        raise InputError(first + more)
    scores, indices = _measure(_leave_out_unlabelled(scores))
    return Evaluation(
        unit="voxels" if options.voxel_units else "mm",
        scores=tuple(scores),
        indices=indices,
        unpredicted=tuple(sorted(reference.keys() - predicted.keys())),
        unreferenced=tuple(sorted(predicted.keys() - reference.keys())),
        failed=failed,
    )


def find_references(folder: Path, cases: Collection[str]) -> dict[str, Path]:
    """The references in a folder, by the name of the case that each belongs to.

    Args:
        folder: searched recursively; see :func:`evaluate_folder`.
        cases: names of predictions or scans.

    Raises:
        InputError: two references share a name.
    """
    return _find_by_case(folder.rglob("*"), "_gt", folder, cases)


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
) -> list[VolumeScore]:
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
    parts, info = parse_case(case), read_patient_info(reference_path.parent)
    volumes = [
        frame_volumes(labels, reference_study.voxel_ml) for labels in (prediction, reference)
    ]
    scores = []
    for t in contoured:
        number, phase = (t + 1, "") if len(reference) > 1 else (parts.number, parts.phase)
        exchanged = find_exchanged(prediction[t], reference[t])
        if exchanged and not options.allow_exchanged:
            raise InputError(f"{prediction_path}: {explain_exchanged(exchanged)}")
        predicted_ml, reference_ml = (frames[t].volume_ml for frames in volumes)
        score = VolumeScore(
            patient=parts.patient,
            case=case,
            frame=t,
            phase=_phase_in(info, number) or phase,
            metrics=metrics_by_structure(
                prediction[t], reference[t], spacing if options.distances else None
            ),
            regions=dice_by_region(prediction[t], reference[t]),
            slices=count_slices(prediction[t], reference[t]),
            empty={s: empty_in(prediction[t], reference[t], VALUE[s]) for s in STRUCTURES},
            predicted_ml=predicted_ml,
            reference_ml=reference_ml,
            exchanged=exchanged,
        )
        scores.append(score.leave_out(find_unlabelled(reference[t])))
    return scores


def parse_case(case: str) -> NameParts:
    """Patient, frame and phase by the name of a case; the patient is the case without a frame."""
    parts = parse_name(case)
    return parts if parts.patient and parts.is_frame else NameParts(case)


def _phase_in(info: PatientInfo, number: int | None) -> str:
    """ED or ES, if ``Info.cfg`` says so of the frame of this number, from 1."""
    return {info.es: "ES", info.ed: "ED"}.get(number, "") if number is not None else ""


def explain_exchanged(exchanged: Mapping[str, str]) -> str:
    """What to do about structures that have the labels of others.

    Names them, and the order of labels that fits if there is one.
    """
    pairs = ", ".join(f"{a} is {b} of the reference" for a, b in exchanged.items())
    fitting = fitting_order(exchanged)
    remedy = f", e.g. {fitting} for one of them" if fitting else "; no known order fits"
    return (
        f"the labels are exchanged: {pairs}; name the order of each with "
        f"--label-order and --reference-order{remedy}"
    )


def fitting_order(exchanged: Mapping[str, str], reference_order: str = "acdc") -> str:
    """The first key of ``ctct.labels.ORDERS`` in which the references would fit; "" if none.

    Args:
        exchanged: see :func:`find_exchanged`.
        reference_order: the order by which the references were read.
    """
    values = {a: ORDERS[reference_order][b] for a, b in exchanged.items()}
    fitting = (name for name, order in ORDERS.items() if values.items() <= order.items())
    return next(fitting, "")


def find_exchanged(prediction: LabelMap, reference: LabelMap) -> dict[str, str]:
    """For each predicted structure that has the label of another, that other one.

    Structures that do not overlap with the same one of the reference, but cover another that is not
    found there itself, are taken to be exchanged.
    """
    overlap = {
        s: {other: dice(prediction == VALUE[s], reference == VALUE[other]) for other in STRUCTURES}
        for s in STRUCTURES
        if (prediction == VALUE[s]).any()
    }
    elsewhere = {s for s in STRUCTURES if s not in overlap or overlap[s][s] < _MAX_DICE_AS_IS}
    covered = {
        s: max(by_other, key=lambda other: by_other[other]) for s, by_other in overlap.items()
    }
    return {
        s: other
        for s, other in covered.items()
        if {s, other} <= elsewhere and overlap[s][other] > _MIN_DICE_EXCHANGED
    }


def _leave_out_unlabelled(scores: Sequence[VolumeScore]) -> list[VolumeScore]:
    """The scores without the structures that no reference has."""
    unlabelled = [s for s in STRUCTURES if all(score.empty[s] in _LACKING for score in scores)]
    return [score.leave_out(unlabelled) for score in scores]


def _measure(
    scores: Sequence[VolumeScore],
) -> tuple[list[VolumeScore], dict[str, IndexPair]]:
    """The scores with the phase of each ED and ES frame, and the indices of each patient.

    ED and ES come from ``Info.cfg``, from the names, or else from the LV volumes of the reference.
    """
    patients: dict[str, list[VolumeScore]] = {}
    for score in scores:
        patients.setdefault(score.patient, []).append(score)
    indices: dict[str, IndexPair] = {}
    phases: dict[tuple[str, int], str] = {}
    for patient, members in patients.items():
        ed, es = find_ed_es(members)
        phases |= {(score.case, score.frame): "ES" for score in es}
        phases |= {(score.case, score.frame): "ED" for score in ed}
        if ed and es:
            indices[patient] = IndexPair(
                indices_at([s.predicted_ml for s in ed], [s.predicted_ml for s in es]),
                indices_at([s.reference_ml for s in ed], [s.reference_ml for s in es]),
            )
    return [replace(s, phase=phases.get((s.case, s.frame), "")) for s in scores], indices


def find_ed_es(scores: Sequence[VolumeScore]) -> tuple[list[VolumeScore], list[VolumeScore]]:
    """The frames of a patient at ED and those at ES.

    There are several where the ventricles have stacks of their own, and none where the phase is
    not known.
    """
    ed, es = ([score for score in scores if score.phase == phase] for phase in ("ED", "ES"))
    with_lv = sorted(
        (score for score in scores if score.reference_ml[LV] > 0),
        key=lambda score: (parse_case(score.case).number or 0, score.case, score.frame),
    )
    if len(with_lv) > 1:
        phases = find_phases([score.reference_ml[LV] for score in with_lv])
        ed, es = ed or [with_lv[phases.ed]], es or [with_lv[phases.es]]
    return ed, es


def indices_at(
    ed_ml: Sequence[Mapping[str, float]], es_ml: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Indices (EDV, EF, …) of a patient.

    Args:
        ed_ml: volume of each structure in every frame at ED; the first that is known counts.
        es_ml: the same at ES.
    """
    ed, es = (
        {s: next((ml[s] for ml in frames if not math.isnan(ml[s])), math.nan) for s in STRUCTURES}
        for frames in (ed_ml, es_ml)
    )
    return Measurements((FrameVolumes("", 0, ed), FrameVolumes("", 1, es)), 0, 1).indices
