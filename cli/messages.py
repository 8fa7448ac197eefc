"""Words for a terminal."""

from __future__ import annotations


def one_line(text: object) -> str:
    """``text`` with what cannot be printed escaped: file names may hold line ends and worse."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(text)
    )
