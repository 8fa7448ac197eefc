"""Shapes of inline SVG pictures. Positions are in pixels from the left and from the top.

Text is escaped; colors, which come from this program, are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

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
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="{font_size}">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg>"
    )


def line(start: Point, end: Point, color: str, dash: str = "none") -> Markup:
    """A straight line."""
    (x1, y1), (x2, y2) = start, end
    return Markup(
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{color}" '
        f'stroke-dasharray="{dash}"/>'
    )


def polyline(points: Sequence[Point], color: str) -> Markup:
    """A line through several points."""
    path = " ".join(f"{x},{y}" for x, y in points)
    return Markup(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')


def dot(center: Point, color: str, tooltip: str, radius: float = 3.5) -> Markup:
    """A filled circle."""
    x, y = center
    return Markup(
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{color}">'
        f"<title>{escape(tooltip)}</title></circle>"
    )


def square(corner: Point, side: float, color: str, tooltip: str) -> Markup:
    """A filled square with its upper left corner at ``corner``."""
    x, y = corner
    return Markup(
        f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{color}">'
        f"<title>{escape(tooltip)}</title></rect>"
    )


def ring(center: Point, color: str, tooltip: str, radius: float = 4) -> Markup:
    """A circle that is not filled."""
    x, y = center
    return Markup(
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="none" stroke="{color}" stroke-width="2">'
        f"<title>{escape(tooltip)}</title></circle>"
    )


def area(outline: str, color: str, tooltip: str) -> Markup:
    """A filled area with a white border; ``outline`` is the ``d`` of an SVG path."""
    return Markup(
        f'<path d="{outline}" fill="{color}" stroke="#fff" stroke-width="2">'
        f"<title>{escape(tooltip)}</title></path>"
    )


def label(
    position: Point, text: str, anchor: str = "start", color: str = SOFT, rotation: int = 0
) -> Markup:
    """Text whose start, middle or end (``anchor``) lies at a position; rotation in degrees."""
    x, y = (round(place, 1) for place in position)
    turn = f' transform="rotate({rotation} {x} {y})"' if rotation else ""
    return Markup(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{color}"{turn}>{escape(text)}</text>'
    )
