"""Fit the rule for the RV in the slice nearest the base, and measure it on other patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.benchmark.dice_models import fit_logistic
from ctct.benchmark.quality import SUFFIX
from ctct.errors import InputError
from ctct.evaluation.evaluate import parse_case
from ctct.evaluation.overlap import dice
from ctct.inference.clean_up import clean_up
from ctct.inference.segmenter import Segmenter
from ctct.io.label_maps import read_labels
from ctct.io.nifti import read_nifti
from ctct.labels import RV, VALUE
from ctct.measurement.rv_base import INDICATORS, BaseModel, base_indicators, find_extra_slice

#: Slices of each frame, from the base, that the rule is fitted to; it judges the first.
_FITTED_SLICES = 2
#: Parts of the patients of which each is judged by a fit to the others.
_PARTS = 10


@dataclass(frozen=True)
class BaseTrial:
    """The RV of one frame of one scan.

    Attributes:
        folder: the folder that was searched, as one set of scans.
        patient: name of the patient.
        labels: (Z, H, W) label map after clean-up, the RV of no slice removed.
        is_rv: (Z, H, W), the RV of the reference.
    """

    folder: Path
    patient: str
    labels: npt.NDArray[np.uint8]
    is_rv: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BaseResult:
    """Agreement of the RV with the references.

    Attributes:
        frames: number of frames.
        changed: those of them in which a slice was removed.
        missed: slices with an RV in the reference alone.
        false: slices with an RV in the labels alone.
        dice: mean of the frames.
    """

    frames: int
    changed: int
    missed: int
    false: int
    dice: float


def base_trials(
    segmenter: Segmenter,
    folders: Sequence[Path],
    on_stage: Callable[[str], None] = lambda case: None,
) -> list[BaseTrial]:
    """Segment every ``CASE.nii.gz`` with a ``CASE_gt.nii.gz`` next to it.

    Frames whose reference has no RV are left out.

    Args:
        segmenter: the model.
        folders: searched recursively.
        on_stage: called with the name of each file of labels.

    Raises:
        InputError: no folder has such a file with an RV, or a file cannot be read.
    """
    trials = [
        trial
        for folder in folders
        for reference in sorted(folder.rglob(f"*{SUFFIX}"))
        for trial in _segment_scan(segmenter, folder, reference, on_stage)
    ]
    if not trials:
        raise InputError(
            f"{', '.join(map(str, folders))}: no CASE.nii.gz with a CASE{SUFFIX} that has an RV"
        )
    return trials


def _segment_scan(
    segmenter: Segmenter, folder: Path, reference: Path, on_stage: Callable[[str], None]
) -> Iterator[BaseTrial]:
    on_stage(reference.name)
    _, manual = read_labels(reference)
    is_rv = manual == VALUE[RV]
    if not is_rv.any():
        return
    case = reference.name.removesuffix(SUFFIX)
    study = read_nifti(reference.with_name(f"{case}.nii.gz"))
    labels = clean_up(segmenter.segment(study, clean_up=False).labels)
    for frame, truth in zip(labels, is_rv, strict=True):
        if truth.any():
            yield BaseTrial(folder, parse_case(case).patient, frame, truth)


def fit_base_model(trials: Sequence[BaseTrial]) -> BaseModel:
    """Fit the rule to the slices nearest the base.

    Raises:
        InputError: the RV of no such slice is false, or of none is true.
    """
    rows: list[list[float]] = []
    is_true: list[float] = []
    for trial in trials:
        for z, indicators in list(base_indicators(trial.labels))[:_FITTED_SLICES]:
            rows.append([indicators[name] for name in INDICATORS])
            is_true.append(float(trial.is_rv[z].any()))
    if len(set(is_true)) < 2:
        raise InputError(
            f"{len(is_true)} slices at the base, with an RV in {sum(is_true):.0f} of their "
            "references; give scans with slices beyond the base"
        )
    intercept, weights = fit_logistic(np.array(rows), np.array(is_true))
    return BaseModel(intercept, dict(zip(INDICATORS, weights.tolist(), strict=True)))


def cross_validate_base(trials: Sequence[BaseTrial]) -> list[int | None]:
    """The slice that is removed from each trial, by a fit to other patients."""
    patients = list(dict.fromkeys(trial.patient for trial in trials))
    part_of = {patient: n % _PARTS for n, patient in enumerate(patients)}
    models = {
        part: fit_base_model([trial for trial in trials if part_of[trial.patient] != part])
        for part in set(part_of.values())
    }
    return [find_extra_slice(trial.labels, models[part_of[trial.patient]]) for trial in trials]


def measure_base(trials: Sequence[BaseTrial], extra: Sequence[int | None]) -> BaseResult:
    """Agreement of the RV with the references.

    Args:
        trials: at least one.
        extra: the slice that is removed from each.
    """
    missed = false = 0
    values = []
    for trial, z in zip(trials, extra, strict=True):
        rv = trial.labels == VALUE[RV]
        if z is not None:
            rv[z] = False
        predicted, present = rv.any(axis=(1, 2)), trial.is_rv.any(axis=(1, 2))
        missed += int((present & ~predicted).sum())
        false += int((predicted & ~present).sum())
        values.append(dice(rv, trial.is_rv))
    changed = sum(z is not None for z in extra)
    return BaseResult(len(trials), changed, missed, false, float(np.mean(values)))
