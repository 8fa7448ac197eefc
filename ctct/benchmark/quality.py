"""How well the quality score tells bad labels from good ones, on scans and on damaged copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctct.errors import InputError
from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.segmentation import MIN_PIXELS
from ctct.inference.segmenter import Segmenter
from ctct.io.label_maps import read_labels
from ctct.io.nifti import read_nifti
from ctct.measurement.coverage import coverage_flags
from ctct.measurement.quality_flags import VERDICTS, frame_flags
from ctct.measurement.quality_indicators import frame_indicators
from ctct.synthetic.damage import DAMAGES

#: Labels with a lower mean Dice are bad.
GOOD_DICE = 0.80

SUFFIX = "_gt.nii.gz"


@dataclass(frozen=True)
class Trial:
    """One frame of one scan, damaged or not.

    Attributes:
        case: name of the scan.
        damage: a key of :data:`~ctct.synthetic.damage.DAMAGES`.
        dice: mean Dice of the three structures against the manual labels.
        score: score of the quality indicators.
        level: level of the most severe flag, "" without flags.
    """

    case: str
    damage: str
    dice: float
    score: float
    level: str


def quality_trials(
    segmenter: Segmenter,
    folders: Sequence[Path],
    seed: int = 0,
    on_stage: Callable[[str], None] = lambda case: None,
) -> list[Trial]:
    """Segment every ``CASE.nii.gz`` with a ``CASE_gt.nii.gz`` next to it, once with each damage.

    Args:
        segmenter: the model.
        folders: searched recursively.
        seed: seed of the random part of the damage.
        on_stage: called with the name of each file of labels.

    Raises:
        InputError: no folder has such a file, or a scan or its labels cannot be read.
    """
    references = sorted(path for folder in folders for path in folder.rglob(f"*{SUFFIX}"))
    if not references:
        raise InputError(f"{', '.join(map(str, folders))}: no CASE.nii.gz with a CASE{SUFFIX}")
    generator = np.random.default_rng(seed)
    trials: list[Trial] = []
    for reference in references:
        on_stage(reference.name)
        trials += _try_scan(segmenter, reference, generator)
    return trials


def _try_scan(
    segmenter: Segmenter, reference: Path, generator: np.random.Generator
) -> Iterator[Trial]:
    case = reference.name.removesuffix(SUFFIX)
    study = read_nifti(reference.with_name(f"{case}.nii.gz"))
    _, manual = read_labels(reference)
    for name, damage in DAMAGES.items():
        damaged, truth = damage(study, manual, generator)
        if min(damaged.voxels.shape[2:]) < MIN_PIXELS:
            continue  # too small to be segmented
        result = segmenter.segment(damaged)
        for t in range(damaged.frames):
            indicators = frame_indicators(
                damaged.voxels[t], result.labels[t], result.disagreement[t], result.removed[t]
            )
            coverage = coverage_flags(
                result.labels[t : t + 1],
                damaged.voxels[t : t + 1],
                damaged.spacing_mm,
                damaged.slice_spacing_mm,
            )
            levels = [flag.level for flag in (*frame_flags(indicators), *coverage)]
            level = max(levels, key=VERDICTS.index, default="")
            dice = float(np.mean(list(dice_by_structure(result.labels[t], truth[t]).values())))
            yield Trial(case, name, dice, indicators.score, level)


def auroc(scores: Sequence[float], bad: Sequence[bool]) -> float:
    """Chance that a bad frame scores higher than a good one, ties half (Hanley and McNeil, 1982).

    NaN if all are good or all are bad.
    """
    values, is_bad = np.asarray(scores, float), np.asarray(bad, bool)
    difference = values[is_bad][:, None] - values[~is_bad][None]
    return float((np.sign(difference) / 2 + 0.5).mean()) if difference.size else float("nan")
