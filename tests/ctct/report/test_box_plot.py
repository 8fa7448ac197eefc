from __future__ import annotations

import math
import re

from ctct.report.box_plot import draw_box_plot
from ctct.report.chart import BOTTOM, HEIGHT, TOP

VALUES = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "e": 9.0}
# Quartiles 2, 3 and 4, so whiskers reach at most 3 beyond them: to 1, and to 4 and not to 9.


def heights(plot: str) -> list[list[float]]:
    """The values on the vertical axis of every line of the plot's boxes."""
    lines = [
        [float(p.split(",")[1]) for p in found.split()]
        for found in re.findall(r'points="([^"]+)"', plot)
    ]
    low, high = 1 - 0.08 * 8, 9 + 0.08 * 8  # the axis: the range and 8 % at both ends
    full = HEIGHT - TOP - BOTTOM
    return [
        [round(low + (HEIGHT - BOTTOM - y) / full * (high - low), 1) for y in ys] for ys in lines
    ]


def test_boxes_are_drawn_from_quartiles_and_whiskers_end_at_a_value() -> None:
    box, median, down, up = heights(draw_box_plot({"RV": VALUES}, "Dice", "plot", "#000"))
    assert (min(box), max(box)) == (2, 4)
    assert median == [3, 3]
    assert down == [2, 1]
    assert up == [4, 4]


def test_every_finite_value_is_a_dot_with_its_name() -> None:
    plot = draw_box_plot({"RV": VALUES | {"<f>": math.nan}, "LV": {}}, "Dice", "plot", "#000")
    assert plot.count("<circle") == 5
    assert "e: 9.000" in plot
    assert ">RV<" in plot
    assert ">LV<" in plot
