"""Line and scatter charts as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from ctct.report.svg import GRID, SOFT, Point, label, line, picture

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 34, 14, 40


@dataclass(frozen=True)
class Axes:
    """The axes of a chart.

    Attributes:
        x: smallest and largest value on the horizontal axis.
        y: smallest and largest value on the vertical axis.
        x_label: quantity and unit of the horizontal axis.
        y_label: quantity and unit of the vertical axis.
        x_names: what stands at 0, 1, 2, … of the horizontal axis, in place of numbers.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    x_names: tuple[str, ...] = ()

    def to_pixels(self, x: float, y: float) -> Point:
        """Position of a pair of values, in pixels from the left and from the top."""
        (left, right), (low, high) = self.x, self.y
        across = (x - left) / ((right - left) or 1)
        up = (y - low) / ((high - low) or 1)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    def draw(self) -> list[Markup]:
        """Grid lines, tick marks, their numbers and the labels."""
        shapes = []
        for value in choose_ticks(*self.y):
            x, y = self.to_pixels(self.x[0], value)
            shapes.append(line((x, y), (WIDTH - RIGHT, y), GRID))
            shapes.append(label((x - 6, y + 4), f"{value:g}", "end"))
        numbers = {value: f"{value:g}" for value in choose_ticks(*self.x)}
        for value, text in (dict(enumerate(self.x_names)) or numbers).items():
            x, y = self.to_pixels(value, self.y[0])
            shapes.append(line((x, y), (x, y + 4), SOFT))
            shapes.append(label((x, y + 16), text, "middle"))
        center, middle = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
        shapes.append(label((center, HEIGHT - 6), self.x_label, "middle"))
        shapes.append(label((12, middle), self.y_label, "middle", rotation=-90))
        return shapes


def draw_chart(axes: Axes, shapes: Iterable[Markup], title: str) -> Markup:
    """A chart: the axes, and ``shapes`` in front of them."""
    return picture((WIDTH, HEIGHT), title, [*axes.draw(), *shapes])


def choose_ticks(low: float, high: float, max_count: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``; of an empty range, ``low`` alone."""
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return [low] if math.isfinite(low) else []
    rough = (high - low) / max_count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10, 20) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def separate(positions: Sequence[float], min_gap: float = 12) -> list[float]:
    """Move positions to at least ``min_gap`` from each other; their order and mean stay."""
    order = sorted(range(len(positions)), key=positions.__getitem__)
    moved = list(positions)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + min_gap)
    shift = (sum(moved) - sum(positions)) / (len(positions) or 1)
    return [position - shift for position in moved]


def pad_range(values: Sequence[float], margin: float = 0.08) -> tuple[float, float]:
    """Range of the finite values, wider by a margin (a share of it) at both ends; 0…1 of none."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * margin or max(abs(high) * margin, 0.5)
    return low - room, high + room
