"""Where engines built on this machine are kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """The folder of built engines: in ``CTCT_CACHE``, or in the user's cache folder.

    An engine is good for one machine and can be built again, which is what cache folders are for.

    Args:
        environment: variables to look at; those of this process when left out.
    """
    variables = os.environ if environment is None else environment
    if own := variables.get("CTCT_CACHE"):
        return Path(own) / "engines"
    if sys.platform == "win32":
        base = Path(variables.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        # The XDG rules: a relative path there counts as none.
        given = Path(variables.get("XDG_CACHE_HOME", ""))
        base = given if given.is_absolute() else Path.home() / ".cache"
    return base / "ctct" / "engines"
