from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import InputError
from ctct.io.study import Study


def study(
    shape: tuple[int, ...] = (2, 3, 4, 5),
    spacing_mm: tuple[float, float] = (1.2, 1.4),
    slice_spacing_mm: float = 10.0,
    path: Path | None = None,
) -> Study:
    return Study("case", np.zeros(shape, np.float32), spacing_mm, slice_spacing_mm, path=path)


def test_frames_and_slices() -> None:
    assert (study().frames, study().slices) == (2, 3)


def test_volume_of_a_voxel() -> None:
    # 1.1 mm × 1.2 mm × 10 mm = 13.2 mm³ = 0.0132 mL
    assert study(spacing_mm=(1.1, 1.2)).voxel_ml == pytest.approx(0.0132, rel=1e-12)


def test_volume_of_a_single_image_is_unknown() -> None:
    assert math.isnan(study((1, 1, 4, 5), slice_spacing_mm=math.nan).voxel_ml)


@pytest.mark.parametrize("spacing_mm", [(0.2, 0.2), (5.0, 5.0)])
@pytest.mark.parametrize("slice_spacing_mm", [0.2, 50.0])
def test_the_limits_themselves_are_allowed(
    spacing_mm: tuple[float, float], slice_spacing_mm: float
) -> None:
    assert study(spacing_mm=spacing_mm, slice_spacing_mm=slice_spacing_mm).slices == 3


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1, 4, 5), (0, 3, 4, 5), (2, 3, 4, 0)])
def test_shape_must_be_four_dimensional_and_not_empty(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as caught:
        study(shape)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    ("spacing_mm", "slice_spacing_mm", "named"),
    [
        ((0.0, 1.2), 10.0, "0 × 1.2 mm"),
        ((1.2, 0.19), 10.0, "1.2 × 0.19 mm"),
        ((1.2, 5.1), 10.0, "1.2 × 5.1 mm"),
        ((math.nan, 1.2), 10.0, "nan × 1.2 mm"),
        ((-1.2, 1.2), 10.0, "-1.2 × 1.2 mm"),
        ((1.2, 1.2), 0.0, "slice spacing is 0 mm"),
        ((1.2, 1.2), 51.0, "slice spacing is 51 mm"),
        ((1.2, 1.2), math.nan, "slice spacing is nan mm"),
    ],
)
def test_impossible_spacing_is_refused(
    spacing_mm: tuple[float, float], slice_spacing_mm: float, named: str
) -> None:
    with pytest.raises(InputError) as caught:
        study(spacing_mm=spacing_mm, slice_spacing_mm=slice_spacing_mm, path=Path("a/scan.nii"))
    message = str(caught.value)
    assert message.startswith(f"{Path('a/scan.nii')}: ")
    assert named in message
    assert "\n" not in message


def test_slices_frame_after_frame() -> None:
    made = study()
    made.voxels[...] = np.arange(6).reshape(2, 3, 1, 1)
    slices, spacing_mm = made.as_batch()
    assert slices.shape == (6, 1, 4, 5)
    assert slices[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.shares_memory(slices, made.voxels)
    assert spacing_mm.dtype == np.float32
    assert spacing_mm.tolist() == np.float32([[1.2, 1.4]] * 6).tolist()


def test_a_study_made_in_memory_is_named_in_the_message() -> None:
    with pytest.raises(InputError, match=r"^case: "):
        study(spacing_mm=(0.0, 0.0))
