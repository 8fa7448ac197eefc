from __future__ import annotations

import math

import pytest

from ctct.report.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axes,
    choose_ticks,
    pad_range,
    separate,
)


def test_corners_of_the_range_are_corners_of_the_frame() -> None:
    axes = Axes((2.0, 4.0), (-1.0, 1.0), "x", "y")
    assert axes.to_pixels(2, -1) == (LEFT, HEIGHT - BOTTOM)
    assert axes.to_pixels(4, 1) == (WIDTH - RIGHT, TOP)
    assert axes.to_pixels(3, 0) == pytest.approx(
        ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2), abs=0.1
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (-0.3, 0.31, [-0.2, 0, 0.2]),
        (97, 263, [100, 150, 200, 250]),
        (5, 5, [5]),
        (math.nan, 1, []),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, expected: list[float]) -> None:
    assert choose_ticks(low, high) == expected


def test_padding() -> None:
    assert pad_range([0, 10, math.nan], 0.1) == (-1, 11)
    assert pad_range([]) == (0, 1)
    low, high = pad_range([3, 3])
    assert low < 3 < high


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([50.0, 20.0], [50.0, 20.0]),
        ([20.0, 24.0], [16.0, 28.0]),  # 8 too close: 4 each
        ([24.0, 20.0, 90.0], [29.333, 17.333, 87.333]),  # 8 down, then all up by a third of it
        ([30.0, 30.0, 30.0], [18.0, 30.0, 42.0]),
        ([], []),
    ],
)
def test_labels_keep_separate(positions: list[float], expected: list[float]) -> None:
    assert separate(positions) == pytest.approx(expected, abs=1e-3)
