"""Modules of ``browser/src`` as one script for a page that may load nothing, without a bundler."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(
    r"^export (?=(?:async function|function|class|const) (\[[^\]]*\]|\w+))", re.MULTILINE
)


@cache
def join_modules(entry: str) -> str:
    """A module and all that it imports, directly or not, as the content of a module script.

    Each becomes a function that returns what it exports. Modules must import by name from the same
    folder, not in a circle, and export where they declare.

    Args:
        entry: name of the module that is run last, without its ending.
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        source = (resources.files("ctct.demo") / "browser" / "src" / f"{name}.js").read_text(
            "utf-8"
        )
        for _, imported in _IMPORT.findall(source):
            if imported not in parts:
                add(imported)
        parts[name] = _wrap(name, source)

    add(entry)
    return "\n".join(parts.values())


def _wrap(name: str, source: str) -> str:
    """A module as a constant that holds its exports."""
    exported = ", ".join(names.strip("[]") for names in _EXPORT.findall(source))
    body = _IMPORT.sub(
        lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = module_{found[2]};", source
    )
    body = _EXPORT.sub("", body)
    return f"const module_{name} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"
