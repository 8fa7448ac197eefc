"""Where what was built on this machine, and can be built again, is kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def cache_folder(kind: str, environment: Mapping[str, str] | None = None) -> Path:
    """The folder of a kind of thing: in ``CTCT_CACHE``, or in the user's cache folder.

    Args:
        kind: "engines" or "openvino".
        environment: variables to look at; those of this process when left out.
    """
    variables = os.environ if environment is None else environment
    if own := variables.get("CTCT_CACHE"):
        return Path(own) / kind
    if sys.platform == "win32":
        base = Path(variables.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        # The XDG rules: a relative path there counts as none.
        given = Path(variables.get("XDG_CACHE_HOME", ""))
        base = given if given.is_absolute() else Path.home() / ".cache"
    return base / "ctct" / kind
