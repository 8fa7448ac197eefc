"""Shapes of inline SVG pictures. Positions are in pixels from the left and from the top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

Point = tuple[float, float]

#: Colors of text and axes, of secondary text, and of grid lines.
INK, SOFT, GRID = "#1c2733", "#5b6775", "#e3e8ee"
#: Where a value is missing.
GRAY = "#e5e5e5"


def picture(
    size: tuple[int, int], title: str, shapes: Iterable[Markup], font_size: int = 11
) -> Markup:
    """An ``svg`` element.

    Args:
        size: width and height.
        title: what the picture shows, for screen readers.
        shapes: from back to front.
        font_size: of its labels.
    """
    width, height = size
    return Markup(
        '<svg viewBox="0 0 {0} {1}" width="{0}" role="img" font-family="system-ui, sans-serif" '
        'font-size="{2}"><title>{3}</title>{4}</svg>'
    ).format(width, height, font_size, title, Markup().join(shapes))


def line(start: Point, end: Point, color: str, dash: str = "none") -> Markup:
    """A straight line."""
    return Markup(
        '<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-dasharray="{}"/>'
    ).format(*start, *end, color, dash)


def polyline(points: Sequence[Point], color: str) -> Markup:
    """A line through several points."""
    return Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(
        " ".join(f"{x},{y}" for x, y in points), color
    )


def dot(center: Point, color: str, tooltip: str, radius: float = 3.5) -> Markup:
    """A filled circle."""
    return Markup('<circle cx="{}" cy="{}" r="{}" fill="{}"><title>{}</title></circle>').format(
        *center, radius, color, tooltip
    )


def square(corner: Point, side: float, color: str, tooltip: str) -> Markup:
    """A filled square with its upper left corner at ``corner``."""
    return Markup(
        '<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>'
    ).format(*corner, side, side, color, tooltip)


def area(outline: str, color: str, tooltip: str) -> Markup:
    """A filled area with a white border; ``outline`` is the ``d`` of an SVG path."""
    return Markup(
        '<path d="{}" fill="{}" stroke="#fff" stroke-width="2"><title>{}</title></path>'
    ).format(outline, color, tooltip)


def label(
    position: Point, text: str, anchor: str = "start", color: str = SOFT, rotation: int = 0
) -> Markup:
    """Text whose start, middle or end (``anchor``) lies at a position; rotation in degrees."""
    x, y = (round(place, 1) for place in position)
    turn = Markup(' transform="rotate({} {} {})"').format(rotation, x, y) if rotation else ""
    return Markup('<text x="{}" y="{}" text-anchor="{}" fill="{}"{}>{}</text>').format(
        x, y, anchor, color, turn, text
    )
