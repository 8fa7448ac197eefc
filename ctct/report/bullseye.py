"""Bull's-eye plot of the 16 segments of the left ventricle, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ctct.measurement.wall import SEGMENTS
from ctct.report.html import number
from ctct.report.svg import GRAY, INK, Point, area, label, picture

SIZE = 270
CENTER = SIZE / 2
#: What stands around the plot: the walls, and where.
WALLS = (("anterior", 90), ("septal", 180), ("inferior", 270), ("lateral", 0))
_WALL_RADIUS = 126
#: Basal, mid and apical ring: inner and outer radius in pixels, index of the first segment, number
#: of segments, and where the first begins in degrees counter-clockwise from the right (Cerqueira
#: et al., Circulation 105:539, 2002: the anterior wall on top, the septum on the left).
RINGS = ((80, 115, 0, 6, 60.0), (45, 80, 6, 6, 60.0), (10, 45, 12, 4, 45.0))
#: Colors of the lowest and the highest value.
LIGHT, DARK = (237, 244, 251), (8, 81, 156)
#: From this share of the way to :data:`DARK` on, white is easier to read than black; either has a
#: contrast of at least 4.5 to 1 there.
WHITE_FROM = 0.75


def draw_bullseye(
    values: Sequence[float], low: float, high: float, title: str, digits: int = 1
) -> Markup:
    """Color each segment by its value, from light at ``low`` to dark at ``high``; gray for NaN.

    The outer ring is the base, the inner one the apex; each segment has its value.

    Args:
        values: 16 of them, segment 1 first.
        low: the value of the lightest color.
        high: the value of the darkest color.
        title: quantity and unit.
        digits: decimals of all values.
    """
    shapes = []
    for inner, outer, first, count, start in RINGS:
        for n in range(count):
            sector = Sector(inner, outer, start + n * 360 / count, 360 / count)
            value = values[first + n]
            shade = min(max((value - low) / (high - low), 0), 1) if math.isfinite(value) else None
            shapes += _draw_segment(sector, SEGMENTS[first + n], number(value, digits), shade)
    for wall, degrees in WALLS:
        turn = {0: 90, 180: -90}.get(degrees, 0)
        x, y = _at(_WALL_RADIUS, degrees)
        shapes.append(label((x, y if turn else y + 4), wall, "middle", rotation=turn))
    shapes.append(label((CENTER, SIZE + 14), title, "middle", INK))
    return picture((SIZE, SIZE + 22), title, shapes, font_size=12)


class Sector(NamedTuple):
    """Where a segment lies: radii in pixels, degrees counter-clockwise from the right."""

    inner: float
    outer: float
    start: float
    span: float

    def outline(self) -> str:
        """SVG path around it."""
        end = self.start + self.span
        a, b, c, d = (
            "{} {}".format(*_at(radius, degrees))
            for radius, degrees in (
                (self.outer, self.start),
                (self.outer, end),
                (self.inner, end),
                (self.inner, self.start),
            )
        )
        return (
            f"M{a} A{self.outer} {self.outer} 0 0 0 {b} L{c} A{self.inner} {self.inner} 0 0 1 {d} Z"
        )

    def middle(self) -> Point:
        """Its center."""
        return _at((self.inner + self.outer) / 2, self.start + self.span / 2)


def _draw_segment(sector: Sector, name: str, text: str, shade: float | None) -> list[Markup]:
    color = GRAY
    if shade is not None:
        mixed = (round(a + shade * (b - a)) for a, b in zip(LIGHT, DARK, strict=True))
        color = "rgb({},{},{})".format(*mixed)
    x, y = sector.middle()
    return [
        area(sector.outline(), color, f"{name}: {text}"),
        label((x, y + 4), text, "middle", "#fff" if (shade or 0) > WHITE_FROM else "#000"),
    ]


def _at(radius: float, degrees: float) -> Point:
    angle = math.radians(degrees)
    x, y = CENTER + radius * math.cos(angle), CENTER - radius * math.sin(angle)
    return round(x, 1), round(y, 1)
