"""Peak ejection and filling rate of a sinusoidal volume curve, whose slope is known."""

from __future__ import annotations

import math

import pytest

from ctct.measurement.peak_rates import find_peak_rates, peak_rate_indices
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, Measurements

FRAMES = 20


def measurements(heart_rate_bpm: float | None, frames: int = FRAMES) -> Measurements:
    """The LV goes from 150 to 50 mL and back like a cosine; the RV is half as large."""
    lv_ml = [100 + 50 * math.cos(2 * math.pi * t / frames) for t in range(frames)]
    volumes = tuple(
        FrameVolumes("x", t, {"LV": ml, "RV": ml / 2, "MYO": 100.0}) for t, ml in enumerate(lv_ml)
    )
    return Measurements(volumes, 0, frames // 2, subject=Subject(heart_rate_bpm=heart_rate_bpm))


def test_the_slope_of_a_cosine() -> None:
    m = measurements(60.0)
    assert m.frame_ms == pytest.approx(50.0)
    # The steepest difference between both neighbors is 2 · 50 · sin(2π / 20) mL in 100 ms.
    steepest = 2 * 50 * math.sin(2 * math.pi / FRAMES) / 0.1
    assert [(r.ventricle, r.kind, r.frame) for r in find_peak_rates(m)] == [
        ("LV", "ejection", 5),
        ("LV", "filling", 15),
        ("RV", "ejection", 5),
        ("RV", "filling", 15),
    ]
    assert [r.ml_per_s for r in find_peak_rates(m)] == pytest.approx(
        [steepest, steepest, steepest / 2, steepest / 2]
    )
    assert peak_rate_indices(m)["LV peak filling (mL/s)"] == pytest.approx(steepest)


def test_twice_the_heart_rate_is_twice_the_rate() -> None:
    slow, fast = (find_peak_rates(measurements(bpm))[0].ml_per_s for bpm in (60.0, 120.0))
    assert fast == pytest.approx(2 * slow)


def test_nothing_without_the_heart_rate_or_of_few_frames() -> None:
    assert find_peak_rates(measurements(None)) == []
    assert find_peak_rates(measurements(60.0, frames=7)) == []
    assert measurements(None).frame_ms is None
    assert measurements(60.0, frames=2).frame_ms is None
