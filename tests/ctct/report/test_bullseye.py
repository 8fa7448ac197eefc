from __future__ import annotations

import math
import re

import numpy as np
import pytest

from ctct.measurement.wall import SEGMENTS
from ctct.report.bullseye import CENTER, DARK, LIGHT, draw_bullseye


def places(picture: str) -> dict[str, tuple[float, float]]:
    """Direction (degrees) and distance from the center at which each segment's number stands."""
    names = re.findall(r"<title>([a-z ]+): ", picture)
    at = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle"', picture)
    found = {}
    for name, (x, y) in zip(names, at, strict=False):
        right, up = float(x) - CENTER, CENTER - (float(y) - 4)
        found[name] = (math.degrees(math.atan2(up, right)) % 360, math.hypot(right, up))
    return found


def test_every_segment_lies_where_it_should() -> None:
    at = places(draw_bullseye([float(n) for n in range(16)], 0, 15, "x"))
    assert tuple(at) == SEGMENTS
    for wall, degrees in (
        ("anterior", 90),
        ("anteroseptal", 150),
        ("inferoseptal", 210),
        ("inferior", 270),
        ("inferolateral", 330),
        ("anterolateral", 30),
    ):
        assert at[f"basal {wall}"][0] == pytest.approx(degrees, abs=1)
        assert at[f"mid {wall}"][0] == pytest.approx(degrees, abs=1)
    for wall, degrees in (("anterior", 90), ("septal", 180), ("inferior", 270)):
        assert at[f"apical {wall}"][0] == pytest.approx(degrees, abs=1)
    assert at["basal anterior"][1] > at["mid anterior"][1] > at["apical anterior"][1]


def test_colors_run_from_light_to_dark_and_unknown_values_are_gray() -> None:
    picture = draw_bullseye(
        [0.0, 50.0, 100.0, 200.0, math.nan, *[10.0] * 11], 0, 100, "thickening (%)"
    )
    fills = re.findall(r'fill="(rgb\([\d,]+\)|#e5e5e5)"', picture)
    assert fills[0] == "rgb({},{},{})".format(*LIGHT)
    assert fills[2] == fills[3] == "rgb({},{},{})".format(*DARK)
    assert fills[4] == "#e5e5e5"
    assert "thickening (%)" in picture


@pytest.mark.parametrize("share", np.linspace(0, 1, 41))
def test_numbers_are_readable_on_every_color(share: float) -> None:
    picture = draw_bullseye([share] * 16, 0, 1, "x")
    (fill,) = set(re.findall(r'fill="rgb\((\d+),(\d+),(\d+)\)"', picture))
    (ink,) = set(re.findall(r'fill="(#000|#fff)"', picture))
    # Relative luminance and contrast of WCAG 2.
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(value) / 255 for value in fill)
    ]
    behind = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    contrast = 1.05 / (behind + 0.05) if ink == "#fff" else (behind + 0.05) / 0.05
    assert contrast >= 4.5
