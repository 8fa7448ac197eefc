"""Comparing a folder of label maps with manual ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctct.errors import InputError
from ctct.io.nifti import read_nifti
from ctct.measurement.overlap import dice_by_structure

PREDICTION, REFERENCE = "_seg.nii.gz", "_gt.nii.gz"


@dataclass(frozen=True)
class CaseScore:
    """Agreement of one case.

    Attributes:
        case: its name, the file's without ``_seg.nii.gz``.
        dice: Dice of each structure over all frames, and their ``mean``.
    """

    case: str
    dice: dict[str, float]


def evaluate_folder(predictions: Path, references: Path) -> list[CaseScore]:
    """Score every ``CASE_seg.nii.gz`` of ``predictions`` that has a ``CASE_gt.nii.gz``.

    Both hold labels in the ACDC order on the same voxels.

    Raises:
        InputError: no pair is found, two references share a name, or a pair differs in shape.
    """
    known: dict[str, Path] = {}
    for path in sorted(references.rglob(f"*{REFERENCE}")):
        case = path.name.removesuffix(REFERENCE)
        if case in known:
            raise InputError(f"{path}: {known[case]} has the same name; evaluate the folders apart")
        known[case] = path
    pairs = [
        (case, path, known[case])
        for path in sorted(predictions.glob(f"*{PREDICTION}"))
        if (case := path.name.removesuffix(PREDICTION)) in known
    ]
    if not pairs:
        raise InputError(
            f"{predictions}: no CASE{PREDICTION} with a CASE{REFERENCE} under {references}"
        )
    return [CaseScore(case, _dice(path, reference)) for case, path, reference in pairs]


def _dice(prediction: Path, reference: Path) -> dict[str, float]:
    own, manual = (read_nifti(p).voxels.astype(np.int16) for p in (prediction, reference))
    if own.shape != manual.shape:
        raise InputError(f"{prediction}: {own.shape} voxels, {reference} has {manual.shape}")
    dice = dice_by_structure(own, manual)
    return dice | {"mean": float(np.mean(list(dice.values())))}
