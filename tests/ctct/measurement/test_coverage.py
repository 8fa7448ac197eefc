from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ctct.io.label_maps import read_labels
from ctct.io.nifti import read_nifti
from ctct.measurement.coverage import coverage_flags, measure_coverage

#: 100 pixels are a circle of 80 mm: 100 · 16π mm² = π · (40 mm)².
SPACING_MM = (math.pi, 16.0)
#: Pixels of LV and wall in slices 10 mm apart, from base to apex.
WHOLE = [60, 95, 100, 95, 85, 70, 50, 25, 0]

BASE = "the stack ends before the base"
APEX = "the stack ends before the apex"
TALL = "the stack holds more than one heart, or slices twice"
SHORT = "slices are missing or not labelled"
WAIST = "the LV narrows towards slice"
MIDDLE = "the LV is wide at both ends of the stack, and short"
STEP = "the LV changes abruptly between slices"


def stack(areas: Sequence[int], rv: int = 0) -> npt.NDArray[np.uint8]:
    """Labels (Z, 1, W) with so many pixels of the ventricle in each slice, a fourth of it wall.

    Beside it are ``rv`` pixels of RV.
    """
    pixels = np.arange(200)
    one = [
        np.select(
            [pixels < area / 4, pixels < area, (pixels >= 100) & (pixels < 100 + rv) & (area > 0)],
            [2, 3, 1],
            0,
        )
        for area in areas
    ]
    return np.array(one, np.uint8)[:, None]


def reasons(areas: Sequence[int], slice_spacing_mm: float = 10.0, rv: int = 0) -> list[str]:
    labels = stack(areas, rv)[None]
    voxels = np.random.default_rng(0).random(labels.shape, np.float32)
    return [f.reason for f in coverage_flags(labels, voxels, SPACING_MM, slice_spacing_mm)]


def test_a_whole_ventricle_by_hand() -> None:
    found = measure_coverage(stack(WHOLE), SPACING_MM, 10.0)
    assert found.length_mm == 80
    assert found.diameter_mm == pytest.approx(80)
    assert found.elongation == pytest.approx(5.8 * 10 / 80)  # the sum of all shares is 5.8
    assert found.apex_beyond == 0
    assert found.base_beyond == pytest.approx(0.60 - 0.85)  # half a diameter is 4 slices
    assert (found.step, found.step_at) == (pytest.approx(0.85 - 0.70), 4)
    assert found.waist == 0
    in_lv = measure_coverage(stack(WHOLE[:-1]), SPACING_MM, 10.0)  # the stack ends in the LV
    assert in_lv.apex_beyond == pytest.approx((0.25 + 0.54) / 2)  # 12 mm further in it is 0.54


def test_the_order_of_the_slices_and_the_size_of_the_heart_do_not_matter() -> None:
    forth = measure_coverage(stack(WHOLE), SPACING_MM, 10.0)
    back = measure_coverage(stack(WHOLE[::-1]), SPACING_MM, 10.0)
    assert replace(back, step_at=4) == forth
    assert back.step_at == 3  # between slices 3 and 4 of 9, from 0
    half = measure_coverage(stack(WHOLE), (SPACING_MM[0] / 2, SPACING_MM[1] / 2), 5.0)
    assert half.elongation == pytest.approx(forth.elongation)
    assert half.base_beyond == pytest.approx(forth.base_beyond)


@pytest.mark.parametrize(
    "areas",
    [
        WHOLE,
        [*WHOLE, 0, 0, 0],
        [0, 0, *WHOLE],
        [100, 100, 98, 95, 85, 70, 50, 30],  # the stack begins at the base, in the LV
        [20, 75, 100, 80, 90, 70, 45, 20],  # base and breathing
        [100, 98, 92, 80, 55, 25],  # a short one, 60 mm
        [8, 90, 95, 100, 100, 95, 90, 85, 75, 60, 40, 30],  # a long one, 120 mm
    ],
)
def test_whole_ventricles_have_no_flag(areas: list[int]) -> None:
    assert reasons(areas) == reasons(areas[::-1]) == []


@pytest.mark.parametrize(
    ("areas", "words"),
    [
        (WHOLE[4:], BASE),
        ([95, 70, 50, 25, 5, 0, 0], BASE),
        ([100, 85, 60, 45, 30], BASE),
        (WHOLE[:5], APEX),
        ([0, 95, 100, 95, 85], APEX),  # a slice above the base
        ([50, 95, 100, 98, 95, 90], APEX),  # a slice that cuts the base
        ([0, 0, 100, 95, 90, 80], APEX),
        ([20, 100, 70], SHORT),  # 24 mm of a heart 80 mm wide
        ([0, 0, 0, 80, 60, 0, 0], SHORT),
        ([0, 0, 0, 90, 0, 0], SHORT),
        ([100, 92, 80, 66, 52], MIDDLE),
        ([95, 100, 95, 80, 62, 45], MIDDLE),
    ],
)
def test_a_part_of_a_ventricle(areas: list[int], words: str) -> None:
    for order in (areas, areas[::-1]):
        (reason,) = reasons(order, rv=30)
        assert words in reason


def test_the_middle_of_a_ventricle_by_hand() -> None:
    found = measure_coverage(stack([100, 92, 80, 66, 52], rv=30), SPACING_MM, 10.0)
    apex = (0.52 + 0.66 + 0.2 * 0.14) / 2  # 0.15 diameters are 1.2 slices
    assert found.middle == pytest.approx(apex + 0.7 * (1 - 0.52) + 0.15 / (3.9 * 10 / 80))


def test_a_wide_ventricle_may_end_between_two_slices() -> None:
    wide = [100, 100, 98, 97, 95, 93, 90, 0]
    assert reasons(wide) == []
    assert reasons(wide, rv=30) == [APEX]  # the RV does not reach the apex


@pytest.mark.parametrize(
    ("areas", "words"),
    [
        (WHOLE + WHOLE, [TALL, f"{WAIST} 8 "]),
        (WHOLE + WHOLE[::-1], [TALL, f"{WAIST} 8 "]),
        (WHOLE[::-1] + WHOLE, [TALL]),  # base to base
        ([a for area in WHOLE for a in (area, area)], [TALL]),  # in turn
    ],
)
def test_two_hearts(areas: list[int], words: list[str]) -> None:
    found = reasons(areas)
    assert all(any(word in reason for reason in found) for word in words)


@pytest.mark.parametrize(
    ("areas", "words"),
    [
        (WHOLE[:4] + WHOLE[:3:-1], f"{WAIST} 4 "),  # the second half reversed
        (WHOLE[5:] + WHOLE[:5], f"{WAIST} 3 "),  # the halves exchanged
        (WHOLE[::2] + WHOLE[1::2], f"{WAIST} 4 "),  # even, then odd
        ([95, 25, 100, 60, 85, 50, 70], f"{WAIST} 1 "),
    ],
)
def test_slices_out_of_order(areas: list[int], words: str) -> None:
    assert any(words in reason for reason in reasons(areas))


def test_slices_that_are_missing_within() -> None:
    (reason,) = reasons([60, 95, 100, 95, 50, 25, 10])
    assert reason.startswith(f"{STEP} 3 and 4 (from 0): slices seem to be missing there")
    assert reasons([60, 95, 100, 70, 50, 25, 10]) == []  # too few to tell


def test_a_wrong_slice_spacing() -> None:
    assert TALL in reasons(WHOLE, 20.0)[0]
    assert SHORT in reasons([0, *WHOLE], 5.0)[0]
    assert reasons(WHOLE, math.nan) == reasons(WHOLE[:5], math.nan) == []  # it has its own flag


def test_without_labels_nothing_is_measured() -> None:
    assert reasons([0] * 8) == []


def test_the_frame_with_the_largest_lv_counts() -> None:
    labels = np.stack([stack(WHOLE[4:] + [0] * 4), stack(WHOLE)])
    voxels = np.random.default_rng(0).random(labels.shape, np.float32)
    assert coverage_flags(labels, voxels, SPACING_MM, 10.0) == []


def test_slices_without_a_picture_were_not_acquired() -> None:
    labels = stack([0, 0, *WHOLE[:5], 0], rv=30)[None]
    voxels = np.random.default_rng(0).random(labels.shape, np.float32)
    voxels[:, [0, 1, -1]] = 7
    (flag,) = coverage_flags(labels, voxels, SPACING_MM, 10.0)
    assert flag.reason == APEX
    labels = stack([0, 0, 60, 95, 100, 95, 50, 25, 10])[None]
    voxels = np.random.default_rng(0).random(labels.shape, np.float32)
    voxels[:, :2] = 7
    (flag,) = coverage_flags(labels, voxels, SPACING_MM, 10.0)
    assert f"{STEP} 5 and 6 " in flag.reason
    assert coverage_flags(labels, np.zeros_like(voxels), SPACING_MM, 10.0) == []


@pytest.mark.real_data
def test_no_flag_on_manual_labels(acdc: Path) -> None:
    found = {}
    for path in sorted(acdc.glob("patient*/*_frame[0-9][0-9].nii.gz"))[::2]:
        study = read_nifti(path)
        _, labels = read_labels(path.with_name(path.name.replace(".nii", "_gt.nii")))
        flags = coverage_flags(labels, study.voxels, study.spacing_mm, study.slice_spacing_mm)
        found[path.name] = [flag.reason for flag in flags]
    assert {name: flags for name, flags in found.items() if flags} == {}
