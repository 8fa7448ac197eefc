"""The folder of a running demo, and the removal of those of demos that crashed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "ctct-demo-"


@contextmanager
def demo_folder() -> Iterator[Path]:
    """A new folder that no other user can read, removed at the end of the context.

    It is locked meanwhile. The system releases the lock when the process ends, however it ends: so
    a folder that is not locked is that of a demo that crashed.
    """
    _remove_abandoned()
    folder, lock = _make_locked()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _make_locked() -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        made = folder.stat()
        lock = _lock(folder)
        with suppress(OSError):  # a demo that starts now may have taken it for an abandoned one
            if lock and os.path.samestat(made, folder.stat()):
                return folder, lock


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{_PREFIX}*"):
        if _is_own_folder(folder) and (lock := _lock(folder)):
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _is_own_folder(path: Path) -> bool:
    """Whether ``path`` is a folder, no link, and belongs to this user."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == getattr(os, "getuid", lambda: 0)()


def _lock(folder: Path) -> FileLock | None:
    """A lock on ``folder``; None where another process holds it."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return None
    return lock
