"""Watches a shared folder: each file or folder in it is a scan, complete once it stops changing."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ctct.node.audit import Audit
from ctct.node.queue import Queue


class Watching:
    """Watches a folder; nothing in it is changed or deleted.

    Args:
        folder: the folder.
        quiet_s: time without a change after which a scan is complete.
        queue: gets the scans.
        audit: gets each scan.
    """

    def __init__(self, folder: Path, quiet_s: float, queue: Queue, audit: Audit) -> None:
        self._folder, self._quiet_s = folder, quiet_s
        self._queue, self._audit = queue, audit
        self._changing: dict[str, tuple[str, float]] = {}

    def scan(self, name: str) -> Path:
        """The scan of that name."""
        return self._folder / name

    def look(self) -> None:
        """Look once, and add to the queue what is complete and new or changed.

        Raises:
            OSError: the folder cannot be read, as when a share is not mounted.
        """
        entries = [p for p in self._folder.iterdir() if not p.name.startswith(".")]
        for path in sorted(entries):
            digest = _digest(path)
            if not digest or digest == self._queue.seen(path.name):
                continue
            if self._is_quiet(path.name, digest):
                self._queue.add_seen(path.name, str(self._folder), {path.name: digest})
                self._changing.pop(path.name)
                self._audit.write("received", path.name, str(self._folder))

    def _is_quiet(self, name: str, digest: str) -> bool:
        now = time.monotonic()
        before, since = self._changing.get(name, ("", now))
        if before != digest:
            since = now
        self._changing[name] = (digest, since)
        return now - since >= self._quiet_s


def _digest(path: Path) -> str:
    """Changes with each change of names, sizes and times; "" where there is no file."""
    lines = sorted(_describe(path))
    return (
        hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
        if lines
        else ""
    )


def _describe(path: Path) -> Iterator[str]:
    files = [path]
    if path.is_dir() and not path.is_symlink():
        files = [Path(parent) / name for parent, _, names in os.walk(path) for name in names]
    for file in files:
        try:
            status = file.stat()
        except OSError:  # it was moved meanwhile
            continue
        yield f"{file} {status.st_size} {status.st_mtime_ns}"
