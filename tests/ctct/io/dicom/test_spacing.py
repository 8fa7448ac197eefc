"""Headers that contradict the distances between pixels or slices are noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom")
from dicom_support import enhanced, save, write_cine

from ctct.cases.read import read_study

# An image of 40 rows 1.25 mm apart and 36 columns 1.5 mm apart is 50 mm by 54 mm; slices lie 8 mm
# apart.


def notes(folder: Path, **changes: Any) -> tuple[str, ...]:
    return read_study(write_cine(folder, change=lambda t, z: changes)).notes


def pixels(side_mm: int, diameter_mm: int) -> tuple[str]:
    return (
        f"PixelSpacing gives {side_mm} mm for the image, ReconstructionDiameter {diameter_mm} mm; "
        "check the size of the pixels",
    )


def slices(spacing: str) -> tuple[str]:
    return (
        f"ImagePositionPatient puts the slices 8 mm apart, SpacingBetweenSlices {spacing} mm; "
        "check the distance between slices",
    )


@pytest.mark.parametrize(
    ("spacing", "diameter"),
    [
        ([1.5, 1.5], 60),  # the rows: 60 mm
        ([1.5, 1.5], 54),  # the columns: 54 mm
        ([1.5, 1.5], 57.2),  # the rows are 4.9 % longer
        ([1.25, 1.5], 52),  # both, within 4 %
        ([1.25, 1.5], 0),
        ([1.25, 1.5], ""),
        ([1.25, 1.5], -10),
    ],
)
def test_pixels_that_agree_with_the_diameter(tmp_path: Path, spacing: Any, diameter: Any) -> None:
    assert notes(tmp_path, PixelSpacing=spacing, ReconstructionDiameter=diameter) == ()


@pytest.mark.parametrize(
    ("spacing", "diameter", "expected"),
    [
        ([1.5, 1.5], 48, pixels(60, 48)),  # 1.25 times too large
        ([1.0, 1.0], 60, pixels(36, 60)),
        ([1.95, 1.5], 54, pixels(78, 54)),  # only the rows are too far apart
        ([1.25, 1.0], 50, pixels(36, 50)),  # only the columns are too near
    ],
)
def test_pixels_that_contradict_the_diameter(
    tmp_path: Path, spacing: Any, diameter: int, expected: tuple[str]
) -> None:
    assert notes(tmp_path, PixelSpacing=spacing, ReconstructionDiameter=diameter) == expected


def test_the_pixels_of_the_header_are_used(tmp_path: Path) -> None:
    changes = {"ReconstructionDiameter": 100, "SpacingBetweenSlices": 10}
    study = read_study(write_cine(tmp_path, change=lambda t, z: changes))
    assert (study.slice_spacing_mm, *study.spacing_mm) == pytest.approx((8, 1.25, 1.5))
    assert study.notes == (*pixels(50, 100), *slices("10"))


@pytest.mark.parametrize(
    "changes",
    [
        {"SpacingBetweenSlices": 8},
        {"SpacingBetweenSlices": 8.3},
        {"SpacingBetweenSlices": 2},  # the gap: 6 mm + 2 mm
        {"SpacingBetweenSlices": 0},
        {"SpacingBetweenSlices": ""},
        {"SpacingBetweenSlices": 8, "SliceThickness": None},
    ],
)
def test_slices_that_agree_with_their_spacing(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert notes(tmp_path, **changes) == ()


@pytest.mark.parametrize(
    ("changes", "spacing"),
    [
        ({"SpacingBetweenSlices": 6}, "6"),
        ({"SpacingBetweenSlices": 10}, "10"),
        ({"SpacingBetweenSlices": 8.5}, "8.5"),
        ({"SpacingBetweenSlices": 2, "SliceThickness": None}, "2"),
    ],
)
def test_slices_that_contradict_their_spacing(
    tmp_path: Path, changes: dict[str, Any], spacing: str
) -> None:
    assert notes(tmp_path, **changes) == slices(spacing)


def test_a_series_per_slice_does_not_know_the_distance_to_the_next(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, Any]:
        series = {"SeriesNumber": z + 1, "SeriesInstanceUID": f"1.6.{z}", "InstanceNumber": t + 1}
        return {"SpacingBetweenSlices": 6, **series}

    assert read_study(write_cine(tmp_path, change=change)).notes == ()


def test_an_enhanced_file(tmp_path: Path) -> None:
    dataset = enhanced()
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = 10
    dataset.ReconstructionDiameter = 65
    study = read_study(save(dataset, tmp_path / "a.dcm"))
    assert study.notes == (*pixels(50, 65), *slices("10"))
