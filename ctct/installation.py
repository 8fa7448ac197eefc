"""How this copy of ctct was installed, and so how its extras are."""

from __future__ import annotations

import json
import os
import shlex
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname


def how_to_install(extra: str = "") -> str:
    """The command that brings an extra of ctct, or ctct's own dependencies, to this copy of it."""
    origin, installer = _origin()
    return install_command(origin, extra, installer)


def how_to_repair() -> str:
    """The command that installs this copy and its dependencies anew, whatever is there."""
    return how_to_install().replace("install", "install --force-reinstall", 1)


@cache
def _origin() -> tuple[dict[str, Any], str]:
    """Where this copy came from, as in direct_url.json, and the program that installed it."""
    for found in distributions(name="ctct"):
        url, installer = (found.read_text(n) or "" for n in ("direct_url.json", "INSTALLER"))
        if not (url or installer):  # the ctct.egg-info of a checkout that Python runs in
            continue
        try:
            return json.loads(url or "{}"), installer.strip()
        except ValueError:
            return {}, installer.strip()
    return {}, ""


def install_command(origin: dict[str, Any], extra: str = "", installer: str = "pip") -> str:
    """The command for a copy that came from ``origin``.

    Args:
        origin: content of direct_url.json (PEP 610); empty for a package from an index.
        extra: of ctct; none for its own dependencies.
        installer: content of the file INSTALLER.

    >>> install_command({}, "dicom")
    "pip install 'ctct[dicom]'"
    """
    command = "uv pip install" if installer == "uv" else "pip install"
    extras = f"[{extra}]" if extra else ""
    url = origin.get("url", "")
    if not url:
        return f"{command} {_quote(f'ctct{extras}')}"
    if version_control := origin.get("vcs_info"):
        revision = version_control.get("requested_revision") or version_control["commit_id"]
        url = f"{version_control['vcs']}+{url}@{revision}"
    elif url.startswith("file:"):
        return f"{command} {_from_disk(origin, _path(url), extras)}"
    subdirectory = origin.get("subdirectory")
    end = f"#subdirectory={subdirectory}" if subdirectory else ""
    return f"{command} {_quote(f'ctct{extras} @ {url}{end}')}"


def _from_disk(origin: dict[str, Any], path: Path, extras: str) -> str:
    """What to install again from a folder with the source, or from a wheel."""
    if "dir_info" not in origin:  # a wheel that was moved is to be found by its name
        return _quote(f"{path if path.exists() else path.name}{extras}")
    option = "-e " if origin["dir_info"].get("editable") else ""
    if not path.is_dir():
        return f"{option}{_quote(f'.{extras}')} in the folder of ctct's source"
    folder = "." if Path.cwd().resolve() == path.resolve() else path
    return f"{option}{_quote(f'{folder}{extras}')}"


def _path(url: str) -> Path:
    parts = urlsplit(url)
    host = f"//{parts.netloc}" if parts.netloc not in ("", "localhost") else ""
    return Path(url2pathname(host + parts.path))


def _quote(text: str) -> str:
    """The text as one word of the shell, always in quotes: a bare "[" is a pattern there."""
    if os.name == "nt":  # its shells know no others
        return f'"{text}"'
    quoted = shlex.quote(text)
    return quoted if quoted != text else f"'{text}'"
