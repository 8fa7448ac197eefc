"""Pieces of a self-contained HTML page; every text that goes in is escaped here."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light; --ink: #1c2733; --soft: #5b6775; --line: #d9dfe6; --shade: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 3rem; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; } p { margin: .4rem 0; }
.note { color: var(--soft); font-size: .88rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { background: var(--shade); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
.row { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
.row > * { flex: 0 1 auto; max-width: 100%; min-width: 0; }
.row > .row { flex: 1 1 20rem; }
img, svg { max-width: 100%; height: auto; }
.picture { margin: .8rem 0; overflow-x: auto; }
.picture img { display: block; border-radius: 4px; width: 100%; min-width: 44rem; }
.ok, .review, .reject { border-radius: 1rem; padding: .1rem .7rem; font-size: .85rem;
  font-weight: 600; white-space: nowrap; }
.ok { background: #e3f3ea; color: #0b6b41; } .review { background: #fdf0d5; color: #8a5200; }
.reject { background: #fbe3e0; color: #a32015; }
.out { color: #a32015; font-weight: 600; }
ul { margin: .3rem 0; padding-left: 1.2rem; } a { color: #0b5c9e; }
@media print { body { max-width: none; padding: 0; font-size: 11px; }
  .patient { break-before: page; } .wide, .picture { overflow: visible; }
  .picture img { min-width: 0; } a { color: inherit; } }
"""

#: Nothing may be loaded: pictures are data inside the file, scripts and requests are forbidden.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Markup(str):
    """Text that is HTML already; any other string is escaped where it enters a page."""


def text(value: object) -> Markup:
    """``value`` as HTML: escaped, unless it is :class:`Markup`."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """``<name attributes>content</name>``; ``class_`` stands for ``class``, ``_`` for ``-``."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{given}>{''.join(map(text, content))}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(map(text, parts)))


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """A table that scrolls sideways where the page is too narrow."""
    head = tag("tr", *(tag("th", cell) for cell in header))
    body = join(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="wide")


def number(value: float | None, digits: int = 1) -> str:
    """A number for reading; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def page(title: str, *content: object) -> bytes:
    """A whole page in one file, which asks nothing of the network."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>"
        f"<body>{join(content)}</body></html>\n"
    ).encode()
