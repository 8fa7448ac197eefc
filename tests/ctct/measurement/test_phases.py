from __future__ import annotations

import math

import numpy as np
import pytest

from ctct.measurement.phases import find_phases, minimum_depths, smooth_cycle


def beat(frames: int = 20, shift: int = 0, fall: float = 0.5) -> np.ndarray:
    """A volume of 100 mL at frame ``shift`` that falls by ``fall`` and rises again."""
    t = (np.arange(frames) - shift) / frames
    return 100 * (1 - fall * (1 - np.cos(2 * np.pi * t)) / 2)


def test_phases_of_a_cycle_wherever_it_starts() -> None:
    for shift in (0, 7, 19):
        found = find_phases(list(beat(shift=shift)))
        assert (found.ed, found.es) == (shift, (shift + 10) % 20)
        assert found.smooth_ml == pytest.approx(list(beat(shift=shift)))
        assert found.warnings == ()


def test_one_noisy_frame_is_neither_ed_nor_es() -> None:
    curve = beat()
    curve[5] -= 30  # 75 - 30 is below the 50 mL of ES
    found = find_phases(list(curve))
    assert int(np.argmin(curve)) == 5
    assert abs(found.es - 10) <= 1


def test_a_frame_without_a_ventricle_is_missing_and_not_es() -> None:
    curve = beat()
    curve[[3, 10]] = 0, math.nan
    found = find_phases(list(curve))
    assert found.es in (9, 11)
    assert found.smooth_ml[10] == pytest.approx(50, abs=1)
    assert found.warnings == ("2 of 20 frames hold no left ventricle",)


def test_few_frames_are_taken_as_they_are() -> None:
    found = find_phases([80.0, 30.0])
    assert (found.ed, found.es, found.smooth_ml) == (0, 1, (80.0, 30.0))
    assert find_phases([0.0, 0.0]).ed == 0


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (beat(fall=0.08), "hardly contracts, by 8 %"),
        (75 + 25 * np.cos(4 * np.pi * np.arange(20) / 20), "2 minima"),
        (np.linspace(100, 50, 20), "jumps by 50 mL"),
        (beat() + 30 * np.where(np.arange(20) % 2, 1, -1), "unsteady, 30 mL"),
    ],
)
def test_warns_of_an_odd_curve(curve: np.ndarray, message: str) -> None:
    assert any(message in warning for warning in find_phases(list(curve)).warnings)


def test_a_constant_curve_has_no_shape() -> None:
    # The smoothed curves differ from the volume by rounding only.
    for volume_ml, frames in ((156.09, 20), (100.0, 25), (90.7, 30)):
        (warning,) = find_phases([volume_ml] * frames).warnings
        assert warning == "the left ventricle hardly contracts, by 0 %"


def test_smoothing_keeps_four_harmonics_and_fills_gaps() -> None:
    angle = 2 * np.pi * np.arange(24) / 24
    low = 10 + np.cos(angle) + np.sin(4 * angle)
    assert smooth_cycle(low + np.cos(7 * angle)) == pytest.approx(low)
    holed = low.copy()
    holed[[2, 9]] = np.nan
    assert smooth_cycle(holed) == pytest.approx(low)


def test_depths_by_hand() -> None:
    # Minima 1 and 3; out of 3 one climbs to 5, to the left, before 1; out of 1 up to 9.
    assert minimum_depths(np.array([9.0, 1.0, 5.0, 3.0])) == [8.0, 2.0]


@pytest.mark.parametrize("frames", [1, 2])
def test_too_little_to_have_a_depth(frames: int) -> None:
    assert minimum_depths(np.ones(frames)) == []
