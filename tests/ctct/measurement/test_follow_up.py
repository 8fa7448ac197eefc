"""A change within the noise of the method is said to be one."""

from __future__ import annotations

import math

import pytest

from ctct.measurement import follow_up
from ctct.measurement.follow_up import (
    AS_SCANS,
    BEYOND,
    BEYOND_METHOD,
    WITHIN,
    IndexChange,
    compare_indices,
    limit_of,
)

BEFORE = {"LVEDV (mL)": 150.0, "LVEF (%)": 60.0, "LVM (g)": 100.0, "LVSV (mL)": 90.0}
AFTER = {"LVEDV (mL)": 250.0, "LVEF (%)": 61.0, "LVM (g)": 100.0, "LVSV (mL)": 150.0}


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_up, "LIMITS", {"LVEDV (mL)": 10.0, "LVEF (%)": 2.0, "LVM (g)": 5.0})


def test_limits_are_a_share_of_volumes_and_points_of_ef() -> None:
    assert limit_of("LVEDV (mL)", 150, 250) == pytest.approx(20)  # 10 % of 200
    assert limit_of("LVEF (%)", 60, 61) == 2
    assert math.isnan(limit_of("LVSV (mL)", 90, 150))


def test_each_change_is_told_from_noise() -> None:
    volume, fraction, mass = compare_indices(BEFORE, AFTER)
    assert (volume.index, volume.change, volume.verdict) == ("LVEDV (mL)", 100, BEYOND_METHOD)
    assert volume.percent == pytest.approx(100 * 100 / 150)
    assert (fraction.index, fraction.change, fraction.verdict) == ("LVEF (%)", 1, WITHIN)
    assert (mass.change, mass.limit, mass.verdict) == (0, 5, WITHIN)


@pytest.mark.parametrize(
    ("after", "said"), [(53.0, WITHIN), (44.0, AS_SCANS), (60.0, AS_SCANS), (60.5, BEYOND)]
)
def test_repeated_scans_differ_by_more_than_the_method(after: float, said: str) -> None:
    assert IndexChange("LVEF (%)", 50, after, limit=3, scan_limit=10).verdict == said


@pytest.mark.parametrize("missing", ["before", "after", "limit"])
def test_nothing_is_said_of_what_is_not_known(missing: str) -> None:
    values = {"before": 1.0, "after": 2.0, "limit": 3.0} | {missing: math.nan}
    assert IndexChange("LVM (g)", **values).verdict == ""


def test_there_is_no_share_of_nothing() -> None:
    assert math.isnan(IndexChange("LVESV (mL)", 0, 2, 1).percent)
