"""Atomic writes, the cache folder, and a lock on a folder of results."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from ctct.errors import OutputError

_PARTIAL = ".partial"
_LOCK = ".ctct-lock"
#: Tells the temporary files of two machines apart, whose processes may have the same number.
_HOST = f"{uuid.getnode():x}"
#: How long a share of a folder waits for another one that begins.
_MAX_WAIT_S = 30.0
#: Errors of the disk: no other file can be written either.
_DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}


def prepare_folder(folder: Path) -> None:
    """Make ``folder`` and check that a file can be written into it.

    Raises:
        OutputError: the folder cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write there ({error.strerror}); choose another output folder",
            error.errno in _DISK_ERRORS,
        ) from error
    except ValueError as error:  # a zero byte in the name
        raise OutputError(f"{str(folder)!r}: not a name for a folder ({error})") from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary name beside ``path``, then rename it.

    Both steps are forced to the disk, so that a loss of power leaves the former file or the new.

    Raises:
        OutputError: the file cannot be written; nothing is left under either name.
    """
    with open_atomic(path) as file:
        file.write(content)


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which gets its name at the end; see :func:`write_atomic`.

    Raises:
        OutputError: the file cannot be written; nothing is left under either name.
    """
    # A digest, because the name itself may be as long as the file system allows.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    writer = f"{_HOST}-{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f".{digest}.{writer}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
        _force_to_disk(partial, os.O_RDWR)
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror})", error.errno in _DISK_ERRORS
        ) from error
    finally:
        with contextlib.suppress(OSError):  # report the first error, not that of the clean-up
            partial.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every file system can do this to a folder
        _force_to_disk(path.parent, os.O_RDONLY)


def _force_to_disk(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_empty(path: Path) -> bool:
    """Whether a file is there and holds nothing, as after a loss of power."""
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def remove_partials(folder: Path, older_than_s: float = 0) -> None:
    """Remove the temporary files of killed writes.

    Args:
        folder: where they are.
        older_than_s: younger ones stay; 0 where no other process may be writing there.
    """
    for partial in folder.glob(f".*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            if older_than_s and time.time() - partial.stat().st_mtime < older_than_s:
                continue
            partial.unlink()


def strict_json(content: Any) -> bytes:
    """``content`` as standard JSON, with null for NaN and infinity."""
    try:
        return _encode_json(content)
    except ValueError:  # seldom, so large content is not copied first
        return _encode_json(_without_nan(content))


def _encode_json(content: Any) -> bytes:
    stream = io.BytesIO()
    # dumps would hold each number and bracket of large content as a string of its own
    with io.TextIOWrapper(stream, encoding="utf-8", newline="\n") as text:
        json.dump(content, text, indent=1, allow_nan=False)
        text.write("\n")
        text.flush()
        return stream.getvalue()


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def cache_folder(kind: str) -> Path:
    """The folder for one kind of cached files, such as "engines" or "locks".

    It lies in ``CTCT_CACHE`` where that is set, otherwise in the user's cache folder.
    """
    if folder := os.environ.get("CTCT_CACHE"):
        return Path(folder) / kind
    # opinion=False: without a further folder "Cache" on Windows.
    return Path(user_cache_dir("ctct", appauthor=False, opinion=False)) / kind


@contextmanager
def lock_folder(folder: Path, wait_s: float = 0) -> Iterator[None]:
    """Lock ``folder`` against other processes.

    One lock is a file in the cache folder. Another is a file in ``folder``, for processes with
    another cache folder, as those of other users and containers; it is removed at the end. The
    system releases both when their process ends, even if the process is killed. A lock that the
    file system does not allow is left out.

    Args:
        folder: to lock.
        wait_s: seconds to wait for another process.

    Raises:
        OutputError: another process holds a lock, on the folder or on a share of it.
    """
    with _locks(folder, _LOCK, folder, wait_s):
        for share in sorted(folder.glob(f"{_LOCK}-*")):
            if (lock := _acquire(share, folder)) is not None:
                _release_and_remove(lock)
        yield


@contextmanager
def lock_share(folder: Path, group: str, name: str) -> Iterator[None]:
    """Lock a share of ``folder``, beside other shares of the same group.

    Args:
        folder: of results.
        group: of shares that do not meet.
        name: of the share, in its group.

    Raises:
        OutputError: another process holds the share, a share of another group, or the whole folder.
    """
    prefix = f"{_LOCK}-{group}-"
    with contextlib.ExitStack() as stack:
        # While the folder is locked, as for a moment by each share that begins, none can be taken.
        with _locks(folder, _LOCK, folder, _MAX_WAIT_S):
            for other in sorted(folder.glob(f"{_LOCK}-*")):
                if not other.name.startswith(prefix) and (lock := _acquire(other, folder)):
                    _release_and_remove(lock)
            stack.enter_context(_locks(folder, f"{prefix}{name}", folder / name, 0))
        yield


@contextmanager
def _locks(folder: Path, file: str, key: Path, wait_s: float) -> Iterator[None]:
    """A lock on a file in ``folder``, and one in the cache folder that is called after ``key``."""
    locks = cache_folder("locks")
    name = hashlib.sha256(str(key.resolve()).encode()).hexdigest()[:32]
    with contextlib.suppress(OSError):  # the cache folder is read-only, as in some containers
        locks.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if lock := _acquire(locks / name, folder, wait_s):
            stack.callback(lock.release)
        if lock := _acquire(folder / file, folder, wait_s):
            stack.callback(_release_and_remove, lock)
        yield


def _acquire(path: Path, folder: Path, wait_s: float = 0) -> FileLock | None:
    """A lock on the file ``path``, made if missing; None where it cannot be made or locked."""
    lock = FileLock(path)
    try:
        while True:
            path.touch()
            with contextlib.suppress(FileNotFoundError):
                opened = path.stat()
                lock.acquire(timeout=wait_s)
                if os.path.samestat(opened, path.stat()):
                    return lock
            lock.release()  # its last holder has removed the file meanwhile: lock the next one
    except Timeout as error:
        raise OutputError(
            f"{folder}: another ctct is writing there; wait for it, or choose another folder"
        ) from error
    except (OSError, NotImplementedError):
        return None


def _release_and_remove(lock: FileLock) -> None:
    if os.name == "nt":  # removes no open file
        lock.release()
    with contextlib.suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()
