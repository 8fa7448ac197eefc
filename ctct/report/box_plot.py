"""Box plots as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from ctct.report.chart import Axes, draw_chart, pad_range
from ctct.report.svg import INK, dot, polyline

#: Half the width of a box, where boxes are 1 apart.
HALF_WIDTH = 0.3


def draw_box_plot(
    groups: Mapping[str, Mapping[str, float]], label: str, title: str, color: str
) -> Markup:
    """A box for each group: quartiles, median, whiskers, and every value as a dot.

    A whisker ends at the last value within 1.5 times the height of the box
    (Tukey, Exploratory Data Analysis, 1977).

    Args:
        groups: name of each group to its values by name; values that are not finite are left out.
        label: quantity and unit.
        title: what the picture shows, for screen readers.
        color: of the dots.
    """
    defined = {
        name: {k: v for k, v in values.items() if math.isfinite(v)}
        for name, values in groups.items()
    }
    everything = [value for values in defined.values() for value in values.values()]
    axes = Axes(
        x=(-0.5, len(defined) - 0.5),
        y=pad_range(everything),
        x_label="",
        y_label=label,
        x_names=tuple(defined),
    )
    shapes = []
    for place, values in enumerate(defined.values()):
        for name, value in values.items():
            shapes.append(dot(axes.to_pixels(place, value), color, f"{name}: {value:.3f}", 2.5))
        if values:
            shapes += _draw_box(axes, place, np.array(list(values.values())))
    return draw_chart(axes, shapes, title)


def _draw_box(axes: Axes, place: int, values: np.ndarray) -> list[Markup]:
    low, median, high = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (high - low)
    left, right = place - HALF_WIDTH, place + HALF_WIDTH
    bottom, top = values[values >= low - reach].min(), values[values <= high + reach].max()
    box = [(left, low), (left, high), (right, high), (right, low), (left, low)]
    middle = [(left, median), (right, median)]
    whiskers = [(place, low), (place, bottom)], [(place, high), (place, top)]
    lines = (box, middle, *whiskers)
    return [polyline([axes.to_pixels(x, y) for x, y in points], INK) for points in lines]
