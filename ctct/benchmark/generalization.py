"""How well one model does on several labelled sets, and how much it minds how a scan is stored."""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.cases.read import read_case
from ctct.errors import InputError
from ctct.evaluation.evaluate import (
    Evaluation,
    EvaluationOptions,
    evaluate_folder,
    find_ed_es,
    find_references,
    fitting_order,
    indices_at,
)
from ctct.evaluation.score import VolumeScore
from ctct.evaluation.summary import Findings
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.labels import LV, RV
from ctct.measurement.quality_flags import OK, VERDICTS
from ctct.measurement.volumes import FrameVolumes, frame_volumes
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder
from ctct.prediction.run_manifest import FAILED
from ctct.synthetic.changes import CHANGES

log = logging.getLogger(__name__)

#: Frames with a lower mean Dice are bad.
BAD_DICE = 0.75
#: Patients of each set whose scans are changed.
CHANGED_PATIENTS = 3
#: Indices whose deviation is measured, in percent and in points.
VOLUMES = tuple(f"{v}{index} (mL)" for v in (LV, RV) for index in ("EDV", "ESV"))
FRACTIONS = tuple(f"{v}EF (%)" for v in (LV, RV))


@dataclass(frozen=True)
class Deviation:
    """How the indices of a patient differ once the scans are changed.

    Attributes:
        patient: name of the patient.
        change: a key of :data:`~ctct.synthetic.changes.CHANGES`.
        percent: change of each volume (LVEDV, …) and of the LV mass, as a share of that of the
            unchanged scan.
        points: change of each EF, in percentage points.
    """

    patient: str
    change: str
    percent: Mapping[str, float]
    points: Mapping[str, float]


@dataclass(frozen=True)
class SetResult:
    """What a model does on one set.

    Attributes:
        name: that of the folder.
        folder: the set.
        findings: agreement with the references.
        verdicts: verdict to number of patients, as ``ctct predict`` joins scans to patients.
        bad: number of frames whose Dice is below :data:`BAD_DICE`.
        bad_but_ok: those of them whose patient is rated ok, as "case, frame N".
        failed: reference to the reason why its scan was not segmented or not scored.
        deviations: of some patients, once their scans are changed.
    """

    name: str
    folder: Path
    findings: Findings
    verdicts: Mapping[str, int]
    bad: int
    bad_but_ok: tuple[str, ...]
    failed: Mapping[str, str]
    deviations: tuple[Deviation, ...] = ()

    @property
    def patients(self) -> int:
        """Number of patients with a score."""
        return len({score.patient for score in self.findings.evaluation.scores})


def generalization(
    segmenter: Segmenter,
    folders: Sequence[Path],
    reference_order: str = "acdc",
    robustness: bool = False,
    changed_patients: int = CHANGED_PATIENTS,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> tuple[list[SetResult], dict[Path, str]]:
    """Segment and score every scan with a reference in each of ``folders``.

    Args:
        segmenter: the model.
        folders: each a set of scans and references, as for ``ctct predict`` and ``ctct evaluate``.
        reference_order: numbering of the references, a key of ``ctct.labels.ORDERS``.
        robustness: whether to measure :attr:`SetResult.deviations`.
        changed_patients: of how many patients of each set.
        on_stage: told what is being done.

    Returns:
        The results, in order; and the reason for each folder that could not be used.

    Raises:
        InputError: a folder does not exist, or none can be used.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
    results: list[SetResult] = []
    unusable: dict[Path, str] = {}
    for folder, name in name_sets(folders).items():
        on_stage(name)
        try:
            results.append(
                measure_set(
                    segmenter,
                    folder,
                    name,
                    reference_order,
                    changed_patients if robustness else 0,
                )
            )
        except InputError as error:
            unusable[folder] = str(error)
    if not results:
        raise InputError("; ".join(unusable.values()))
    return results, unusable


def name_sets(folders: Sequence[Path]) -> dict[Path, str]:
    """Each folder, once, to its name, preceded by its parent's where two have the same."""
    paths = {folder: Path(os.path.abspath(folder)) for folder in folders}
    counts = Counter(path.name for path in dict.fromkeys(paths.values()))
    unique = {path: folder for folder, path in paths.items()}
    return {
        folder: path.name if counts[path.name] == 1 else f"{path.parent.name}/{path.name}"
        for path, folder in unique.items()
    }


def measure_set(
    segmenter: Segmenter,
    folder: Path,
    name: str,
    reference_order: str = "acdc",
    changed_patients: int = 0,
) -> SetResult:
    """Segment and score every scan of one set; see :func:`generalization`.

    Raises:
        InputError: there is no scan with a reference, none could be scored, or most references
            have their labels in another order.
    """
    folder = Path(os.path.abspath(folder))
    scans, _ = discover([str(folder)])
    references = find_references(folder, [scan.name for scan in scans])
    # Where no file is called a reference, every file is one, the scans too.
    cases = [scan for scan in scans if references.get(scan.name, scan.path) != scan.path]
    if not cases:
        example = scans[0].name
        raise InputError(
            f"{folder}: no scan has a reference; call that of {example} {example}_gt.nii.gz"
        )
    options = EvaluationOptions(
        distances=False, reference_order=reference_order, allow_exchanged=True
    )
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        statuses = predict_folder(
            cases, out, segmenter.model, lambda model: segmenter, PredictOptions(report=False)
        )
        failed = {status.case: status.reason for status in statuses if status.status == FAILED}
        if len(failed) == len(cases):
            raise InputError("; ".join(failed.values()))
        evaluation = evaluate_folder(out, folder, options)
        patients = json.loads((out / "measurements.json").read_text())["patients"].values()
    _check_order(folder, evaluation, reference_order)
    verdict_of = {frame["name"]: p["verdict"] for p in patients for frame in p["frames"]}
    verdicts = Counter(patient["verdict"] for patient in patients)
    bad = [score for score in evaluation.scores if score.mean_dice < BAD_DICE]
    return SetResult(
        name=name,
        folder=folder,
        findings=Findings.from_evaluation(evaluation),
        verdicts={verdict: verdicts[verdict] for verdict in VERDICTS},
        bad=len(bad),
        bad_but_ok=tuple(
            f"{score.case}, frame {score.frame}" for score in bad if verdict_of[score.case] == OK
        ),
        failed=failed
        | evaluation.failed
        | {case: "there is no such scan" for case in evaluation.unpredicted if case not in failed},
        deviations=tuple(measure_deviations(segmenter, cases, evaluation, changed_patients))
        if changed_patients
        else (),
    )


def _check_order(folder: Path, evaluation: Evaluation, reference_order: str) -> None:
    """Check that the numbering of the references is not that of another order.

    A network exchanges structures in some frames at most.

    Raises:
        InputError: structures are exchanged in more than half of the frames.
    """
    exchanged = [score.exchanged for score in evaluation.scores if score.exchanged]
    if 2 * len(exchanged) <= len(evaluation.scores):
        return
    pairs = ", ".join(f"{a} is {b} of the reference" for a, b in exchanged[0].items())
    order = fitting_order(exchanged[0], reference_order)
    raise InputError(
        f"{folder}: the labels are exchanged in {len(exchanged)} of {len(evaluation.scores)} "
        f"frames: {pairs}; name the order of the references with --reference-order"
        + (f", e.g. {order}" if order else "; no known order fits")
    )


def measure_deviations(
    segmenter: Segmenter,
    cases: Sequence[Case],
    evaluation: Evaluation,
    limit: int = CHANGED_PATIENTS,
) -> list[Deviation]:
    """Segment the scans of some patients again after each change.

    The patients are spread evenly over those with an ED and an ES frame. The phases are those of
    the unchanged scan, and structures without a reference are left out.

    Args:
        segmenter: the model.
        cases: the scans.
        evaluation: of the unchanged scans.
        limit: largest number of patients.
    """
    by_name = {case.name: case for case in cases}
    names = list(evaluation.indices)
    if not names:
        log.warning("no patient has an ED and an ES frame; no scan is changed")
    chosen = np.linspace(0, len(names) - 1, min(limit, len(names))).round().astype(int)
    deviations: list[Deviation] = []
    for patient in (names[at] for at in chosen):
        phases = find_ed_es([s for s in evaluation.scores if s.patient == patient])
        scans = {score.case for frames in phases for score in frames}
        studies = {name: read_case(by_name[name]) for name in scans}
        for name, change in CHANGES.items():
            try:
                segmented = {
                    case: _segment(segmenter, change(study)) for case, study in studies.items()
                }
            except InputError as error:  # too small, or of too large pixels
                log.warning("%s %s: %s; left out", patient, name, error)
                continue
            ed_ml, es_ml = (
                [_labelled_ml(score, segmented[score.case]) for score in frames]
                for frames in phases
            )
            after = indices_at(ed_ml, es_ml)
            deviations.append(
                compare_indices(patient, name, evaluation.indices[patient].prediction, after)
            )
    return deviations


def _segment(segmenter: Segmenter, study: Study) -> list[FrameVolumes]:
    return frame_volumes(segmenter.segment(study).labels, study.voxel_ml)


def _labelled_ml(score: VolumeScore, frames: Sequence[FrameVolumes]) -> dict[str, float]:
    """The volumes of a frame; NaN for the structures that its reference does not label."""
    volume_ml = frames[score.frame].volume_ml
    return {s: math.nan if math.isnan(score.predicted_ml[s]) else ml for s, ml in volume_ml.items()}


def compare_indices(
    patient: str, change: str, before: Mapping[str, float], after: Mapping[str, float]
) -> Deviation:
    """How the volumes, mass and EF of both ventricles differ; NaN where one is not known."""
    percent = {}
    for column in (*VOLUMES, "LVM (g)"):
        known = before[column] or math.nan  # of an empty ventricle, there is no share
        percent[column] = 100 * (after[column] - known) / known
    points = {column: after[column] - before[column] for column in FRACTIONS}
    return Deviation(patient, change, percent, points)
