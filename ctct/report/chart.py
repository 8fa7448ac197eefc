"""Line and scatter charts as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ctct.report.html import Markup, join, tag

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 34, 14, 40
INK, SOFT, GRID = "#1c2733", "#5b6775", "#e3e8ee"


@dataclass(frozen=True)
class Axes:
    """Where values lie in the picture.

    Attributes:
        x: smallest and largest value across.
        y: smallest and largest value up.
        x_label: name and unit below.
        y_label: name and unit at the side.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels, from the left and from the top, of a pair of values."""
        (left, right), (low, high) = self.x, self.y
        across = (x - left) / ((right - left) or 1)
        up = (y - low) / ((high - low) or 1)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    def frame(self) -> Markup:
        """Grid, numbers and labels."""
        parts = []
        for value in ticks(*self.y):
            x, y = self.at(self.x[0], value)
            parts.append(line((x, y), (WIDTH - RIGHT, y), GRID))
            parts.append(label(x - 6, y + 4, f"{value:g}", "end"))
        for value in ticks(*self.x):
            x, y = self.at(value, self.y[0])
            parts.append(line((x, y), (x, y + 4), SOFT))
            parts.append(label(x, y + 16, f"{value:g}", "middle"))
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, self.x_label, "middle"))
        turned = f"rotate(-90 12 {middle})"
        parts.append(tag("g", label(12, middle, self.y_label, "middle"), transform=turned))
        return join(parts)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within a range, at most ``most`` of them and never none."""
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return [low] if math.isfinite(low) else []
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10, 20) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def svg(axes: Axes, *content: Markup, title: str) -> Markup:
    """A chart of the frame and what lies in it."""
    return tag(
        "svg",
        tag("title", title),
        axes.frame(),
        *content,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        role="img",
        font_family="system-ui, sans-serif",
        font_size=11,
    )


def line(
    start: tuple[float, float], end: tuple[float, float], color: str, dash: str = "none"
) -> Markup:
    """A straight line between two points in pixels."""
    return tag(
        "line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], stroke=color, stroke_dasharray=dash
    )


def polyline(points: Sequence[tuple[float, float]], color: str, dash: str = "none") -> Markup:
    """Points in pixels, joined."""
    path = " ".join(f"{x},{y}" for x, y in points)
    return tag(
        "polyline", points=path, fill="none", stroke=color, stroke_width=2, stroke_dasharray=dash
    )


def dot(point: tuple[float, float], color: str, title: str, radius: float = 3.5) -> Markup:
    """A point that says what it is when pointed at."""
    return tag("circle", tag("title", title), cx=point[0], cy=point[1], r=radius, fill=color)


def label(x: float, y: float, words: str, anchor: str = "start", color: str = SOFT) -> Markup:
    """Words at a place in pixels."""
    return tag("text", words, x=round(x, 1), y=round(y, 1), text_anchor=anchor, fill=color)


def apart(places: Sequence[float], least: float = 12) -> list[float]:
    """``places`` in their order, none closer to the next than ``least``, and their mean kept."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    shift = (sum(moved) - sum(places)) / (len(places) or 1)
    return [place - shift for place in moved]


def padded(values: Sequence[float], share: float = 0.08) -> tuple[float, float]:
    """Range of the finite ones of ``values`` with some room on both sides; 0…1 of none."""
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = (high - low) * share or max(abs(high) * share, 0.5)
    return low - room, high + room
