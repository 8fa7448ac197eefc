"""The bull's-eye of the 16 segments, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ctct.measurement.wall import SEGMENTS
from ctct.report.html import Markup, join, number, tag

SIZE = 250
CENTER = SIZE / 2
#: Inner and outer radius of base, mid and apex in pixels; their first segment and its number; where
#: the first begins, in degrees counter-clockwise from the right (Cerqueira et al., Circulation
#: 105:539, 2002: the anterior wall on top, the septum on the left).
RINGS = ((80, 115, 0, 6, 60.0), (45, 80, 6, 6, 60.0), (10, 45, 12, 4, 45.0))
LIGHT, DARK = (237, 244, 251), (8, 81, 156)


def bullseye(values: Sequence[float], low: float, high: float, title: str) -> Markup:
    """One value a segment, from light at ``low`` to dark at ``high``; gray where there is none.

    Args:
        values: 16 of them, segment 1 first.
        low: the lightest value.
        high: the darkest value.
        title: what they are, with the unit.
    """
    parts = []
    for inner, outer, first, count, start in RINGS:
        for n in range(count):
            sector = Sector(inner, outer, start + n * 360 / count, 360 / count)
            value = values[first + n]
            share = (value - low) / (high - low) if math.isfinite(value) else None
            parts.append(_segment(sector, SEGMENTS[first + n], value, share))
    caption = tag("text", title, x=CENTER, y=SIZE + 14, text_anchor="middle", fill="#1c2733")
    return tag(
        "svg",
        tag("title", title),
        *parts,
        caption,
        viewBox=f"0 0 {SIZE} {SIZE + 22}",
        width=SIZE,
        role="img",
        font_family="system-ui, sans-serif",
        font_size=12,
    )


class Sector(NamedTuple):
    """Where a segment lies: radii in pixels, degrees counter-clockwise from the right."""

    inner: float
    outer: float
    start: float
    span: float

    def path(self) -> str:
        """Its outline."""
        end = self.start + self.span
        return (
            f"M{_at(self.outer, self.start)} A{self.outer} {self.outer} 0 0 0 "
            f"{_at(self.outer, end)} L{_at(self.inner, end)} "
            f"A{self.inner} {self.inner} 0 0 1 {_at(self.inner, self.start)} Z"
        )


def _segment(sector: Sector, name: str, value: float, share: float | None) -> Markup:
    shade = min(max(share or 0.0, 0.0), 1.0)
    mixed = (round(a + shade * (b - a)) for a, b in zip(LIGHT, DARK, strict=True))
    fill = "#e5e5e5" if share is None else f"rgb({','.join(map(str, mixed))})"
    shown = number(value, 0 if abs(value) >= 20 else 1)
    hint = tag("title", f"{name}: {shown}")
    shape = tag("path", hint, d=sector.path(), fill=fill, stroke="#fff", stroke_width=2)
    x, y = _at((sector.inner + sector.outer) / 2, sector.start + sector.span / 2).split()
    ink = "#fff" if shade > 0.55 else "#1c2733"
    return join((shape, tag("text", shown, x=x, y=float(y) + 4, text_anchor="middle", fill=ink)))


def _at(radius: float, degrees: float) -> str:
    angle = math.radians(degrees)
    return f"{CENTER + radius * math.cos(angle):.1f} {CENTER - radius * math.sin(angle):.1f}"
