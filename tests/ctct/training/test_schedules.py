from __future__ import annotations

import math

import pytest

from ctct.training.schedules import ramp_up, warm_cosine


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, math.exp(-5)),  # 0.0067
        (0.5, math.exp(-1.25)),  # -5 · 0.5² = -1.25
        (0.8, math.exp(-0.2)),
        (1.0, 1.0),
        (-1.0, math.exp(-5)),
        (1.7, 1.0),
    ],
)
def test_ramp_up(progress: float, expected: float) -> None:
    assert ramp_up(progress) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, 0.0),
        (0.05, 0.25),  # a quarter of the way through a warm-up of 0.2
        (0.2, 1.0),
        (0.6, 0.5),  # half of the remaining 0.8: cos 90° = 0
        (0.8, 0.5 * (1 - math.sqrt(0.5))),  # three quarters: cos 135° = -√½
        (1.0, 0.0),
        (1.5, 0.0),
    ],
)
def test_warm_cosine(progress: float, expected: float) -> None:
    assert warm_cosine(progress, warm=0.2) == pytest.approx(expected, abs=1e-12)


def test_warm_cosine_without_warm_up() -> None:
    assert warm_cosine(0.0, warm=0.0) == 1.0
