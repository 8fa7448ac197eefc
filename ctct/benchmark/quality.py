"""Whether the quality score tells bad labels from good ones: on scans, and on spoilt copies."""

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
from ctct.measurement.quality_flags import VERDICTS, frame_flags
from ctct.measurement.quality_indicators import frame_indicators
from ctct.synthetic.damage import DAMAGES

#: Labels of a lower mean Dice are bad.
GOOD_DICE = 0.80

SUFFIX = "_gt.nii.gz"


@dataclass(frozen=True)
class Trial:
    """One frame of one scan, spoilt or not.

    Attributes:
        case: name of the scan.
        damage: what was done to it, a key of ``DAMAGES``.
        dice: mean Dice of the three structures against the manual labels.
        score: that of the quality indicators.
        level: the gravest flag, "" without any.
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
    observe: Callable[[str], None] = lambda case: None,
) -> list[Trial]:
    """Segment every scan that has ``CASE_gt.nii.gz`` beside it, once with each damage.

    Raises:
        InputError: no folder has such a file.
    """
    references = sorted(path for folder in folders for path in folder.rglob(f"*{SUFFIX}"))
    if not references:
        raise InputError(f"{', '.join(map(str, folders))}: no CASE.nii.gz with a CASE{SUFFIX}")
    generator = np.random.default_rng(seed)
    trials: list[Trial] = []
    for reference in references:
        observe(reference.name)
        trials += _of_scan(segmenter, reference, generator)
    return trials


def _of_scan(
    segmenter: Segmenter, reference: Path, generator: np.random.Generator
) -> Iterator[Trial]:
    case = reference.name.removesuffix(SUFFIX)
    study = read_nifti(reference.with_name(f"{case}.nii.gz"))
    _, manual = read_labels(reference)
    for name, damage in DAMAGES.items():
        spoilt, truth = damage(study, manual, generator)
        if min(spoilt.voxels.shape[2:]) < MIN_PIXELS:
            continue  # refused before it is segmented
        result = segmenter.segment(spoilt)
        for t in range(spoilt.frames):
            indicators = frame_indicators(
                spoilt.voxels[t], result.labels[t], result.disagreement[t], result.removed[t]
            )
            levels = [flag.level for flag in frame_flags(indicators)]
            gravest = max(levels, key=VERDICTS.index, default="")
            dice = float(np.mean(list(dice_by_structure(result.labels[t], truth[t]).values())))
            yield Trial(case, name, dice, indicators.score, gravest)


def auroc(scores: Sequence[float], bad: Sequence[bool]) -> float:
    """Chance that a bad one scores higher than a good one, ties half (Hanley and McNeil, 1982).

    NaN where all are good or all are bad.
    """
    values, is_bad = np.asarray(scores, float), np.asarray(bad, bool)
    above = values[is_bad][:, None] - values[~is_bad][None]
    return float((np.sign(above) / 2 + 0.5).mean()) if above.size else float("nan")
