"""Writing results so that a file under its final name is always whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ctct.errors import OutputError

_PARTIAL = ".partial"
#: Faults of a disk rather than of a file.
_EVERYWHERE = {errno.ENOSPC, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}


def prepare_folder(folder: Path) -> None:
    """Make ``folder`` and check that a file can be written into it.

    Raises:
        OutputError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write there ({error.strerror}); choose another output folder",
            error.errno in _EVERYWHERE,
        ) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary name beside ``path``, then rename it.

    Raises:
        OutputError: the file cannot be written; nothing is left under either name.
    """
    # Not the name itself, which may be as long as the file system allows.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    partial = path.with_name(f".{digest}.{os.getpid()}{_PARTIAL}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror})", error.errno in _EVERYWHERE
        ) from error
    finally:
        with contextlib.suppress(
            OSError
        ):  # a disk that became read-only: say what went wrong first
            partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what writes that were killed left in ``folder``; only where no other run writes."""
    for partial in folder.glob(f".*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            partial.unlink()


def strict_json(content: Any) -> bytes:
    """``content`` as JSON that every reader takes: null for NaN and infinity, which JSON lacks."""
    return (json.dumps(_finite(content), indent=1, allow_nan=False) + "\n").encode()


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


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


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes of this user on this machine from writing results into ``folder``.

    The system frees the lock when its holder ends, in whatever way; nothing is left in ``folder``.

    Raises:
        OutputError: another process writes there.
    """
    locks = cache_folder("locks")
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / name)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            f"{folder}: another ctct is writing there; wait for it, or choose another folder"
        ) from error
    except OSError:  # no place for locks, as in a read-only container: go on without
        yield
        return
    try:
        yield
    finally:
        lock.release()
