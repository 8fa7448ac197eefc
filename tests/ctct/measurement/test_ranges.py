"""Reference ranges: those of the paper's abstract are its means ± 1.96 standard deviations."""

from __future__ import annotations

import pytest

from ctct.measurement.ranges import MEANS, RANGES, SECOND_HAND, out_of_range, z_scores


@pytest.mark.parametrize("index", MEANS)
@pytest.mark.parametrize("sex", ["M", "F"])
def test_a_range_with_a_mean_is_that_of_1_96_standard_deviations(index: str, sex: str) -> None:
    mean, sd = MEANS[index][sex]
    assert RANGES[index][sex] == (round(mean - 1.96 * sd), round(mean + 1.96 * sd))


def test_what_is_of_second_hand_is_marked() -> None:
    assert {"LVEF (%)", "LVMi (g/m2)"} == RANGES.keys() - SECOND_HAND


def test_z_is_the_distance_from_the_mean_in_standard_deviations() -> None:
    indices = {"LVEF (%)": 48.0, "LVMi (g/m2)": 71.0, "LVEDV (mL)": 100.0}
    assert z_scores(indices, "M") == {"LVEF (%)": -2.0, "LVMi (g/m2)": 2.0}
    assert z_scores(indices, "F")["LVEF (%)"] == pytest.approx(-2.6)
    assert z_scores(indices, None) == {}


def test_marks_say_the_direction() -> None:
    assert out_of_range({"LVEF (%)": 40.0, "LVMi (g/m2)": 80.0}, "M") == {
        "LVEF (%)": "low",
        "LVMi (g/m2)": "high",
    }
