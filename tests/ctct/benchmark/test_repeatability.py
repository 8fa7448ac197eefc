"""The repeatability coefficient, worked by hand."""

from __future__ import annotations

import math

import pytest

from ctct.benchmark.generalization import Deviation
from ctct.benchmark.repeatability import repeatability, repeatability_row

DEVIATIONS = [
    Deviation("a", "turned", {"LVEDV (mL)": 2.0}, {"LVEF (%)": -1.0}),
    Deviation("a", "mirrored", {"LVEDV (mL)": 4.0}, {"LVEF (%)": 1.0}),
    Deviation("b", "turned", {"LVEDV (mL)": 0.0}, {"LVEF (%)": math.nan}),
    Deviation("b", "mirrored", {"LVEDV (mL)": 0.0}, {"LVEF (%)": math.nan}),
]


def test_it_is_2_77_times_the_standard_deviation_within_a_patient() -> None:
    # LVEDV of a: 0, 2, 4, variance 4; of b: 0, 0, 0, variance 0. LVEF of a: 0, -1, 1, variance 1.
    found = repeatability(DEVIATIONS)
    assert found["LVEDV (mL)"] == pytest.approx(1.96 * math.sqrt(2) * math.sqrt(2))
    assert found["LVEF (%)"] == pytest.approx(1.96 * math.sqrt(2))


def test_the_row_has_percent_and_points() -> None:
    assert repeatability_row("acdc", DEVIATIONS) == {
        "set": "acdc",
        "patients": "2",
        "LVEDV (%)": "3.9",
        "LVEF (points)": "2.8",
    }
