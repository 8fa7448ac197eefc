"""Volumes of many patients as training sees them: 8-bit, with or without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.labels import STRUCTURES


@dataclass(frozen=True)
class Volume:
    """One frame of one patient.

    Attributes:
        patient: name of the patient.
        name: unique in its collection.
        voxels: (Z, H, W) intensities, see :func:`to_bytes`.
        labels: (Z, H, W) in ctct's order, or None.
        spacing_mm: (row, column) in-plane spacing.
        known: structures that ``labels`` show wherever they are; the others are unknown, and may
            lie in its background.
    """

    patient: str
    name: str
    voxels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | None
    spacing_mm: tuple[float, float]
    known: tuple[str, ...] = STRUCTURES


@dataclass(frozen=True)
class Collection:
    """Volumes sorted by patient and name.

    Attributes:
        volumes: with complete labels, or without any.
        layout: of their folder.
        partly_labelled: further volumes with labels, in which structures may be unknown.
    """

    volumes: tuple[Volume, ...]
    layout: str
    partly_labelled: tuple[Volume, ...] = ()


def to_bytes(voxels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Intensities of a volume in 8 bits: the networks' z-score per slice needs no more.

    Whole numbers in 0…255 stay as they are. Others are scaled so that 0 (or the minimum, where it
    is negative) becomes 0 and the 99.9th percentile 255; values that are not finite count as 0.
    """
    finite = np.nan_to_num(voxels, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if low < 0 or high > 255 or not np.array_equal(finite, finite.round()):
        low = min(low, 0.0)
        high = max(float(np.percentile(finite, 99.9)), low + 1e-12)
        finite = ((finite - low) * (255 / (high - low))).clip(0, 255).round()
    return finite.astype(np.uint8)
