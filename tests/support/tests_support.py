"""Helpers that tests import by name: small scans and a quick stand-in for the networks."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from ctct.inference.contract import Prediction


def write_scan(
    path: Path,
    shape: tuple[int, ...] = (40, 36, 3),
    zooms: tuple[float, ...] = (1.5, 1.25, 8.0, 0.05),
    dtype: type = np.int16,
) -> np.ndarray:
    """Write a NIfTI scan of random integers 0 to 199 and give its array, (x, y, z[, t])."""
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    image = nib.Nifti1Image(array, np.diag([*zooms[:3], 1.0]))
    image.header.set_zooms(zooms[: len(shape)])
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return array


class ThresholdRuntime:
    """A stand-in for the networks: bright pixels are LV, middling MYO, the rest background."""

    name, device = "threshold", "cpu"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
        assert slices.dtype == spacing_mm.dtype == np.float32
        assert spacing_mm.shape == (len(slices), 2)
        self.batches.append(len(slices))
        image = slices[:, 0]
        labels = np.where(image >= 150, 3, np.where(image >= 100, 2, 0)).astype(np.uint8)
        return Prediction(labels, np.full(image.shape, 0.25, np.float32))
