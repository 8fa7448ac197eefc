from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest


def phantom(height: int, width: int, slices: int = 3) -> npt.NDArray[np.uint8]:
    """Labels (Z, H, W): a round LV of 6 pixels' radius, its wall of 3, and an RV beside it."""
    rows, columns = np.indices((height, width))
    radius = np.hypot(rows - height / 2, columns - width / 2)
    beside = np.hypot(rows - height / 2, columns - width / 2 + 12)
    one = np.select([radius < 6, radius < 9, beside < 6], [3, 2, 1], 0).astype(np.uint8)
    return np.repeat(one[None], slices, 0)


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    """A folder in the layout of the ACDC download: two training patients and one for validation.

    Their numbers are those of the published split: 99 and 38 are its first two, 2 validates.
    """
    affine = np.diag([1.4, 1.5, 10.0, 1.0])  # columns 1.4 mm apart, rows 1.5 mm
    root = tmp_path / "acdc"
    sizes = {"patient038": (40, 36), "patient099": (44, 48), "patient002": (36, 40)}
    for number, (patient, size) in enumerate(sizes.items()):
        labels = phantom(*size)
        noise = np.random.default_rng(number).normal(0, 5, labels.shape)
        image = np.array([20, 180, 80, 200])[labels] + noise
        (root / patient).mkdir(parents=True)
        for ending, voxels in (("", image.round().astype(np.int16)), ("_gt", labels)):
            file = root / patient / f"{patient}_frame01{ending}.nii.gz"
            nib.save(nib.Nifti1Image(voxels.transpose(2, 1, 0), affine), file)
    return root
