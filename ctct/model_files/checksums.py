"""Model files against the ``SHA256SUMS`` beside them, in the form that ``sha256sum`` writes."""

from __future__ import annotations

import re
from pathlib import Path

from ctct.errors import ModelError

NAME = "SHA256SUMS"
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")


def check_sum(path: Path, digest: str) -> None:
    """Compare the SHA-256 of a file with the sum beside it; one that has none is accepted.

    Raises:
        ModelError: they differ, or the sums cannot be read.
    """
    sums = path.with_name(NAME)
    try:
        lines = sums.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{sums}: cannot be read ({error})") from error
    found = {match["name"]: match["digest"] for match in map(_LINE.fullmatch, lines) if match}
    stated = found.get(path.name)
    if stated not in (None, digest):
        raise ModelError(
            f"{path}: its SHA-256 is {digest[:12]}…, {NAME} says {stated[:12]}…; it is damaged or "
            "was changed: install ctct again, or copy the model again"
        )
