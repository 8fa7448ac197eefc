"""Docstrings as Markdown, for the page of the Python API: examples in blocks, names as code."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put doctests between fences, and leave out the roles of :func:`name`."""
        if obj.docstring:
            text = re.sub(r"(?m)^>>> (?:.+\n?)+", _fence, obj.docstring.value)
            obj.docstring.value = re.sub(r":\w+:`~?", "`", text)


def _fence(example: re.Match[str]) -> str:
    return f"```pycon\n{example[0].rstrip()}\n```\n"
