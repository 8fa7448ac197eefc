"""Grouping images to series, and finding the short-axis cine among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
import fuzz_dicom
from dicom_support import COLUMN, NORMAL, ORIGIN, ROW, enhanced, frame, save, write_cine

from ctct.cases.discover import discover, list_scans
from ctct.cases.read import read_case, read_study
from ctct.errors import InputError


def reasons(*inputs: Path) -> dict[int, str]:
    """The reason why each series is not segmented, by its number."""
    scans = list_scans(inputs)
    return {s.first.number: why for s, why in zip(scans.series, scans.rejections, strict=True)}


def test_the_short_axis_cine_is_found_among_the_series_of_a_study(tmp_path: Path) -> None:
    write_cine(tmp_path / "study" / "sax")

    def others(number: int, phases: int, places: int, **changes: Any) -> None:
        attributes = {"SeriesNumber": number, "SeriesInstanceUID": f"1.9.{number}", **changes}
        write_cine(tmp_path / "study" / str(number), phases, places, lambda t, z: attributes)

    # Its normal is (-0.48, 0.36, -0.80); the heart's long axis, (0.65, -0.60, -0.45) / 0.99, has a
    # cosine of 0.17 with it.
    long_axis = [f"{v:.6f}" for v in (*ROW, *NORMAL)]
    others(1, 1, 6, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    others(2, 8, 1, ImageOrientationPatient=long_axis, ImagePositionPatient=[*ORIGIN])
    others(3, 1, 6)
    others(4, 20, 3)
    others(5, 8, 6, ImageType=["ORIGINAL", "PRIMARY", "P"])
    others(6, 8, 6, Modality="CT")
    others(8, 8, 6, ImagePositionPatient=None)
    others(10, 6, 5, PixelSpacing=["0", "0"])
    write_cine(
        tmp_path / "study" / "stack of long axes",
        change=lambda t, z: {
            "SeriesNumber": 9,
            "SeriesInstanceUID": "1.9.9",
            "ImageOrientationPatient": long_axis,
            "ImagePositionPatient": [*(ORIGIN + 8 * z * COLUMN)],
        },
    )
    assert reasons(tmp_path) == {
        1: "localizer",
        2: "slices: 1, a short-axis cine has at least 5",
        3: "phases: 1, a cine has at least 6",
        4: "slices: 3, a short-axis cine has at least 5",
        5: "phase map (flow)",
        6: "modality is CT, expected MR",
        7: "",
        8: "lacks ImagePositionPatient",
        10: "lacks PixelSpacing",
        9: "lies 80° from where the short axis of a heart is expected",
    }
    ((case,), _) = discover([tmp_path])
    assert case.name == "study_sax"
    ((other,), _) = discover([tmp_path], ["1.9.4"])
    assert read_case(other).voxels.shape[:2] == (20, 3)
    with pytest.raises(InputError, match="lack ImagePositionPatient"):
        read_study(tmp_path, "1.9.8")
    with pytest.raises(InputError, match=r"--series 1\.9\.99: not there"):
        discover([tmp_path], ["1.9.99"])


def test_the_later_of_two_short_axis_cines_is_taken(tmp_path: Path) -> None:
    write_cine(tmp_path / "a")
    again = {"SeriesNumber": 12, "SeriesInstanceUID": "1.2.12"}
    write_cine(tmp_path / "b", change=lambda t, z: again)
    assert reasons(tmp_path)[12] == ""
    assert "series 12 is taken" in reasons(tmp_path)[7]


def test_one_series_per_slice_is_joined_and_a_repeated_slice_replaced(tmp_path: Path) -> None:
    def header(z: int, number: int) -> dict[str, Any]:
        return {"SeriesNumber": number, "SeriesInstanceUID": f"1.7.{number}"}

    write_cine(tmp_path / "study", change=lambda t, z: header(z, 20 - z))
    study = read_study(tmp_path / "study")
    assert study.voxels.shape[:2] == (8, 6)
    assert study.notes == ()
    assert len(discover([tmp_path / "study"], ["1.7.15", "1.7.16", "1.7.15"])[0]) == 1
    write_cine(tmp_path / "study" / "again", change=lambda t, z: header(z, 30) if z == 2 else None)
    assert read_study(tmp_path / "study").notes == (
        "images that were there twice: 8; the later ones are used",
    )


def phase_series(t: int, **changes: Any) -> dict[str, Any]:
    """Attributes of one series per phase, with numbers in another order than the phases."""
    number = (5 * t) % 8 + 1
    return {"SeriesNumber": number, "SeriesInstanceUID": f"1.8.{number}", **changes}


def test_one_series_per_phase_is_joined_in_order_of_time(tmp_path: Path) -> None:
    write_cine(tmp_path, change=lambda t, z: phase_series(t))
    study = read_study(tmp_path)
    expected = [[frame(t, z) for z in range(6)] for t in range(8)]
    np.testing.assert_array_equal(study.voxels, expected)
    assert study.notes == ()
    ((chosen,), _) = discover([tmp_path], ["1.8.3"])
    assert read_case(chosen).frames == 8


def test_one_series_per_phase_with_a_missing_slice(tmp_path: Path) -> None:
    write_cine(tmp_path, change=lambda t, z: None if (t, z) == (3, 2) else phase_series(t))
    assert read_study(tmp_path).notes == (
        "slice 2 has 7 phases, the others 8: the nearest in time is used",
    )


@pytest.mark.parametrize(
    "changes", [{"TriggerTime": None}, {"TriggerTime": "0"}, {"ImageType": ["ORIGINAL", "", "P"]}]
)
def test_stacks_without_distinct_times_are_not_joined(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_cine(tmp_path, change=lambda t, z: phase_series(t, **changes))
    assert len(reasons(tmp_path)) == 8
    assert "" not in reasons(tmp_path).values()


def test_two_halves_of_a_stack_are_joined(tmp_path: Path) -> None:
    write_cine(tmp_path, 8, 12, lambda t, z: {"SeriesInstanceUID": f"1.7.{z // 6}"})
    study = read_study(tmp_path)
    assert study.slices == 12
    assert study.notes == ("the slices come from 2 series",)


@pytest.mark.parametrize("phases", [8, 6])
def test_the_rest_of_a_stack_that_cannot_be_joined_is_noted(tmp_path: Path, phases: int) -> None:
    """Slices 0 to 4 and 6 to 8 of one protocol; with fewer phases the others are another one."""

    def change(t: int, z: int) -> dict[str, Any] | None:
        if z == 5 or (z > 5 and t >= phases):
            return None
        return {"SeriesInstanceUID": f"1.6.{z // 5}", "SeriesNumber": 7 + z // 5}

    study = read_study(write_cine(tmp_path, 8, 9, change))
    assert study.voxels.shape[:2] == (8, 5)
    note = (
        "series 8, of the same kind, lies beside these slices and is not used; if it belongs to "
        "the cine, export the whole cine again"
    )
    assert study.notes == ((note,) if phases == 8 else ())


def test_orientations_that_differ_in_the_last_digit_are_one(tmp_path: Path) -> None:
    other = [f"{v:.6f}" for v in (ROW[0] + 1e-6, *ROW[1:], *COLUMN)]
    write_cine(tmp_path, change=lambda t, z: {"ImageOrientationPatient": other} if t % 2 else {})
    assert read_study(tmp_path).frames == 8


@pytest.mark.parametrize(
    ("usual", "other"),
    [("1.25", "1.25001"), ("1.25", "1.2509"), ("1.24949", "1.24951"), ("1.2505", "1.2495")],
)
def test_spacings_that_differ_by_rounding_are_one(tmp_path: Path, usual: str, other: str) -> None:
    write_cine(tmp_path, change=lambda t, z: {"PixelSpacing": [other if z == 5 else usual, "1.5"]})
    study = read_study(tmp_path)
    assert study.slices == 6
    assert study.notes == ()


def test_a_slice_of_another_spacing_is_left_out_and_noted(tmp_path: Path) -> None:
    write_cine(tmp_path, change=lambda t, z: {"PixelSpacing": ["1.3" if z == 5 else "1.25", "1.5"]})
    assert read_study(tmp_path).notes == ("8 images of the series have another geometry, left out",)


def test_an_enhanced_file(tmp_path: Path) -> None:
    save(enhanced(), tmp_path / "enhanced.dcm")
    assert read_study(tmp_path).frames == 8


@pytest.mark.slow
def test_damaged_series_give_a_study_or_an_input_error() -> None:
    tally = fuzz_dicom.run(200)
    assert tally.failures == []
    assert tally.outcomes["Study"] > 20
    assert tally.outcomes["InputError"] > 20
    assert tally.slowest_s < 5
