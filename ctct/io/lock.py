"""One run at a time in a folder of results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ctct.errors import OutputError
from ctct.io.cache import cache_folder


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
