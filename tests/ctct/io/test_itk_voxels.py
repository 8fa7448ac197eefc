from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("SimpleITK")
import SimpleITK as sitk  # noqa: N813

from ctct.errors import InputError
from ctct.io.itk_voxels import read

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def write(path: Path, voxels: np.ndarray = VOXELS, is_vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(voxels, isVector=is_vector)
    image.SetSpacing((1.5, 1.25, 8.0)[: image.GetDimension()])
    image.SetOrigin((5.0, -6.0, 7.0)[: image.GetDimension()])
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_header_and_voxels(tmp_path: Path, ending: str) -> None:
    header, voxels = read(write(tmp_path / f"a.{ending}"), limit=1000)
    assert voxels.dtype == "<i2"
    assert header["phases"] == 1
    assert header["spacing"] == (1.5, 1.25, 8.0)
    assert header["origin"] == (5.0, -6.0, 7.0)
    assert header["direction"] == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    np.testing.assert_array_equal(voxels, VOXELS)


def test_the_limit_counts_four_bytes_per_voxel(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha")  # 24 voxels, 96 bytes as 32-bit numbers
    assert read(path, limit=96)[1].shape == (2, 3, 4)
    with pytest.raises(InputError, match="promises 24 voxels; the limit is 23"):
        read(path, limit=95)


def test_a_color_image_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", np.zeros((2, 3, 4, 3), np.uint8), is_vector=True)
    with pytest.raises(InputError, match="convert to one gray value per voxel"):
        read(path, limit=1000)


def test_components_from_five_on_are_phases(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", np.zeros((2, 3, 4, 5), np.uint8), is_vector=True)
    assert read(path, limit=1000)[0]["phases"] == 5
