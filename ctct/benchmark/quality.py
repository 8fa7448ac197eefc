"""How well the quality indicators tell bad labels from good, on scans and on damaged copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

import numpy as np

from ctct.errors import InputError
from ctct.evaluation.evaluate import parse_case
from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.segmentation import MIN_PIXELS
from ctct.inference.segmenter import Segmenter
from ctct.io.label_maps import read_labels
from ctct.io.nifti import read_nifti
from ctct.labels import VALUE
from ctct.measurement.coverage import coverage_flags
from ctct.measurement.quality_flags import OK, VERDICTS, frame_flags, image_flags
from ctct.measurement.quality_indicators import FrameIndicators, frame_indicators
from ctct.measurement.stack_flags import stack_flags
from ctct.synthetic.damage import DAMAGES

SUFFIX = "_gt.nii.gz"


@dataclass(frozen=True)
class Trial:
    """One frame of one scan, damaged or not.

    Attributes:
        folder: the folder that was searched, as one set of scans.
        patient: name of the patient.
        case: name of the scan.
        damage: a key of :data:`~ctct.synthetic.damage.DAMAGES`.
        dice: Dice of each structure that the manual labels have.
        indicators: quality indicators.
        level: level of the gravest flag other than those of the predicted Dice.
    """

    folder: Path
    patient: str
    case: str
    damage: str
    dice: Mapping[str, float]
    indicators: FrameIndicators
    level: str


def quality_trials(
    segmenter: Segmenter,
    folders: Sequence[Path],
    seed: int = 0,
    copies: int | None = None,
    on_stage: Callable[[str], None] = lambda case: None,
) -> list[Trial]:
    """Segment every ``CASE.nii.gz`` with a ``CASE_gt.nii.gz`` next to it, and damaged copies of it.

    Args:
        segmenter: the model.
        folders: searched recursively.
        seed: seed of the random part of the damage.
        copies: damaged copies of each scan, of another kind from scan to scan; None: one of each.
        on_stage: called with the name of each file of labels.

    Raises:
        InputError: no folder has such a file, or a scan or its labels cannot be read.
    """
    references = [(f, path) for f in folders for path in sorted(f.rglob(f"*{SUFFIX}"))]
    if not references:
        raise InputError(f"{', '.join(map(str, folders))}: no CASE.nii.gz with a CASE{SUFFIX}")
    generator = np.random.default_rng(seed)
    none, *others = DAMAGES
    copies = len(others) if copies is None else min(copies, len(others))
    next_damage = (others[n % len(others)] for n in count())
    trials: list[Trial] = []
    for folder, reference in references:
        on_stage(reference.name)
        for damage in (none, *islice(next_damage, copies)):
            trials += _try_scan(segmenter, folder, reference, damage, generator)
    return trials


def _try_scan(
    segmenter: Segmenter,
    folder: Path,
    reference: Path,
    damage: str,
    generator: np.random.Generator,
) -> Iterator[Trial]:
    case = reference.name.removesuffix(SUFFIX)
    study = read_nifti(reference.with_name(f"{case}.nii.gz"))
    _, manual = read_labels(reference)
    try:
        damaged, truth = DAMAGES[damage](study, manual, generator)
    except InputError:
        return  # of larger pixels than any scan
    if min(damaged.voxels.shape[2:]) < MIN_PIXELS:
        return  # too small to be segmented
    spacing_mm, slice_mm = damaged.spacing_mm, damaged.slice_spacing_mm
    result = segmenter.segment(damaged)
    for t in range(damaged.frames):
        voxels, labels = damaged.voxels[t : t + 1], result.labels[t : t + 1]
        indicators = frame_indicators(
            voxels[0], labels[0], result.disagreement[t], result.removed[t]
        )
        flags = [
            *frame_flags(replace(indicators, predicted_dice={})),
            *coverage_flags(labels, voxels, spacing_mm, slice_mm),
            *image_flags(spacing_mm, slice_mm, voxels.shape[2:]),
            *stack_flags(voxels, slice_mm),
        ]
        dice = dice_by_structure(labels[0], truth[t])
        yield Trial(
            folder=folder,
            patient=parse_case(case).patient,
            case=case,
            damage=damage,
            dice={s: dice[s] for s in dice if (truth[t] == VALUE[s]).any()},
            indicators=indicators,
            level=max((flag.level for flag in flags), key=VERDICTS.index, default=OK),
        )
