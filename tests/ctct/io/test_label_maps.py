from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctct.errors import InputError
from ctct.io.label_maps import check_same_grid, read_labels


def write(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


AFFINE = np.diag([1.5, 1.25, 8.0, 1.0])


def test_integers_of_any_type_and_label_order(tmp_path: Path) -> None:
    array = np.arange(4, dtype=np.float32).reshape(2, 2, 1)
    path = write(tmp_path / "x.nii.gz", array, AFFINE)
    _, labels = read_labels(path, "mnms")
    assert labels.dtype == np.uint8
    # Columns first in the file, rows first here; LV is 1 there and 3 here.
    assert labels.tolist() == [[[[0, 2], [3, 1]]]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "holds 1.5;"),
        (1.4, "holds 1.4;"),
        (2.998, "holds 2.998;"),  # twice as far from 3 as rounding explains
        (-0.5, "holds -0.5;"),
        (9, r"holds 9;"),
        (-1, r"holds -1;"),
        (65537, r"holds 65537;"),  # 1 in 16 bits
        (1e30, r"holds 1e\+30;"),
        (np.nan, "holds nan;"),
        (np.inf, "holds inf;"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, value: float, message: str) -> None:
    array = np.zeros((2, 2, 1), np.float32)
    array[0, 0] = value
    with pytest.raises(InputError, match=rf"x\.nii\.gz: .*{message}"):
        read_labels(write(tmp_path / "x.nii.gz", array, AFFINE))


def test_rounding_noise_is_removed(tmp_path: Path) -> None:
    array = np.array([1.0000001, 2.9999998, 1.9991, -0.0009]).reshape(2, 2, 1)
    _, labels = read_labels(write(tmp_path / "x.nii.gz", array, AFFINE))
    assert labels.tolist() == [[[[1, 2], [3, 0]]]]


def test_labels_of_a_scaled_file_are_rounded(tmp_path: Path) -> None:
    """1, 2 and 3 as multiples of 3 / 32767, as a converter to 16-bit integers writes them."""
    stored = np.array([0, 10922, 21845, 32767], np.int16).reshape(2, 2, 1)
    image = nib.Nifti1Image(stored, AFFINE)
    image.header.set_slope_inter(3 / 32767, 0)
    nib.save(image, tmp_path / "x.nii.gz")
    _, labels = read_labels(tmp_path / "x.nii.gz")
    assert labels.tolist() == [[[[0, 2], [1, 3]]]]


def test_grids_may_differ_by_rounding_only(tmp_path: Path) -> None:
    array = np.zeros((10, 8, 4), np.uint8)
    nudged, turned = AFFINE.copy(), AFFINE.copy()
    nudged[0, 3] = 0.4
    turned[:2, :2] = [[0, 1.25], [1.5, 0]]
    one, near, other = (
        read_labels(write(tmp_path / f"{n}.nii.gz", array, affine))[0]
        for n, affine in enumerate((AFFINE, nudged, turned))
    )
    check_same_grid(one, near)
    with pytest.raises(InputError, match="affines differ"):
        check_same_grid(one, other)
