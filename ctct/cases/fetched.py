"""Scans from object storage on the disk: fetched ahead of use, and removed after it."""

from __future__ import annotations

import atexit
import hashlib
import logging
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from ctct.cases.case import Case
from ctct.cases.index_row import IndexRow, digest_listing
from ctct.errors import ConfigError, InputError
from ctct.io.remote import RemoteFile, download, is_url
from ctct.storage import cache_folder, prepare_folder

log = logging.getLogger(__name__)

#: Scans that are fetched before their turn, and that are fetched at once.
AHEAD, AT_ONCE = 6, 4
#: Largest size of all that was fetched before its turn, in GB.
MAX_GB = 4.0


class Cache:
    """Copies of scans in a folder of this process.

    Args:
        list_files: lists the files of a scan.
        max_gb: no scan is fetched before its turn beyond that size.
    """

    def __init__(
        self, list_files: Callable[[IndexRow], list[RemoteFile]], max_gb: float = MAX_GB
    ) -> None:
        if not max_gb > 0:
            raise ConfigError(f"--cache-gb {max_gb:g}: give a size in GB, more than 0")
        self.max_bytes = int(max_gb * 1e9)
        self._list_files = list_files
        self._pool = ThreadPoolExecutor(AT_ONCE, "fetch")
        self._copies: dict[str, Future[Path]] = {}
        self._bytes: dict[str, int] = {}
        self._lock = Lock()
        self._folder, self._folder_lock = _own_folder()
        atexit.register(self.close)

    @property
    def bytes(self) -> int:
        """Size of all that is there, or is being fetched."""
        return sum(self._bytes.values())

    def start(self, row: IndexRow) -> None:
        """Begin to fetch a scan, where there is room."""
        with self._lock:
            if row.place not in self._copies and self.bytes + row.bytes <= self.max_bytes:
                self._submit(row)

    def fetch(self, row: IndexRow) -> Path:
        """The copy of a scan: a file, or a folder for DICOM; fetched now if it was not.

        Raises:
            InputError: it cannot be read, or has changed since it was listed.
            OutputError: the disk is full.
        """
        with self._lock:
            copy = self._copies.get(row.place) or self._submit(row)
        return copy.result()

    def discard(self, row: IndexRow) -> None:
        """Remove the copy of a scan, where there is one."""
        with self._lock:
            copy = self._copies.pop(row.place, None)
            self._bytes.pop(row.place, None)
        if copy is None or copy.cancel():
            return
        with suppress(Exception):
            copy.result()
        shutil.rmtree(self._place(row), ignore_errors=True)

    def close(self) -> None:
        """Remove all copies."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder_lock.release()
        with suppress(OSError):
            Path(self._folder_lock.lock_file).unlink()

    def _submit(self, row: IndexRow) -> Future[Path]:
        self._bytes[row.place] = row.bytes
        copy = self._copies[row.place] = self._pool.submit(self._download, row)
        return copy

    def _place(self, row: IndexRow) -> Path:
        return self._folder / hashlib.sha256(row.place.encode()).hexdigest()[:16]

    def _download(self, row: IndexRow) -> Path:
        files = self._list_files(row)
        if digest_listing((f.name, f.bytes, f.mtime_ns) for f in files) != row.digest:
            raise InputError(
                f"{row.path}: its files have changed since they were listed; run the same command "
                "again, or ctct index"
            )
        folder = self._place(row)
        try:
            paths = download(row.path, files, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return paths[0] if not files[0].below else folder


def _own_folder() -> tuple[Path, FileLock]:
    """A new folder, and the lock that tells that its process lives; those of others are removed."""
    parent = cache_folder("scans")
    prepare_folder(parent)
    for former in parent.glob("*.lock"):
        lock = FileLock(former)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            shutil.rmtree(former.with_suffix(""), ignore_errors=True)
            former.unlink()
            lock.release()
    folder = parent / uuid.uuid4().hex[:16]
    lock = FileLock(folder.with_suffix(".lock"))
    lock.acquire()
    folder.mkdir()
    return folder, lock


def is_remote(case: Case) -> bool:
    """Whether a case is in object storage and not on the disk yet."""
    return case.row is not None and is_url(case.row.path)


def fetch_ahead(
    cases: Iterable[Case], cache: Callable[[], Cache], is_needed: Callable[[Case], bool]
) -> Iterator[Case]:
    """The cases, the next of them being fetched.

    Args:
        cases: on the disk or in object storage.
        cache: gives the cache; called once there is something to fetch.
        is_needed: whether a case will be read.
    """
    waiting: deque[Case] = deque()
    for case in cases:
        if is_remote(case) and is_needed(case):
            assert case.row
            cache().start(case.row)
        waiting.append(case)
        if len(waiting) > (AHEAD if is_remote(case) else 0):
            yield waiting.popleft()
    yield from waiting
