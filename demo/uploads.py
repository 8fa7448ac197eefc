"""Uploaded scans: each in a private folder, deleted once it is read or its visitor has left.

Gradio keeps more data, and for longer, than a server of patients' scans should. This module changes
that.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from gradio import processing_utils
from gradio.state_holder import SessionState

from ctct.demo.settings import Quotas
from ctct.demo.visits import ANYONE, Visits, owner_of
from ctct.errors import InputError

#: Name of the folder of several files that belong together.
TOGETHER = "scan"

#: Name of the folder of an upload.
_FOLDER = re.compile(r"[0-9a-f]{32}-(?P<group>[0-9a-f]{32})-[0-9a-f]+")

#: Seconds after which what is not read is deleted: in any case, and where its visitor has left.
UNUSED_S, ABANDONED_S = 1800, 30


def _forget(session: SessionState, key: int, value: object) -> None:
    """Do not keep what a visitor was shown, which would stay in memory until the server ends.

    Gradio keeps it for links to an earlier state of a page; this page offers none.
    """


async def _refuse_to_download(url: str, *_: object, **__: object) -> NoReturn:
    """Fetch nothing: a client may name an address in place of an upload."""
    raise ValueError("give a file, not an address")


SessionState._update_value_in_config = _forget
processing_utils.async_ssrf_protected_download = _refuse_to_download


class Uploads:
    """The scans of all visitors until they are read; safe to use from several threads.

    Only paths that this class has made are ever deleted, whatever a client names.

    Args:
        folder: a folder that no other user can read, without links in its path.
        quotas: limits on what is stored.

    Attributes:
        arrived: the folder into which Gradio writes what arrives; each upload has a folder of its
            own there, ``OWNER-GROUP-RANDOM``: who may have it labelled, by cookie, and whose
            quota it takes from; both by :func:`ctct.demo.visits.owner_of`.
        visits: who is on the page.
    """

    def __init__(self, folder: Path, quotas: Quotas = Quotas()) -> None:  # noqa: B008
        self._quotas = quotas
        self.arrived = folder / "uploads"
        self.arrived.mkdir()
        self.visits = Visits(on_end=self._end_visit)
        self._waiting = folder / "waiting"
        self._waiting.mkdir()
        self._tabs: dict[str, str] = {}  # scan to the tab that waits for it
        self._announced: Counter[str] = Counter()  # bytes that are arriving, by group
        self._lock = threading.Lock()

    def take(self, upload: str | Path, visitor: str, tab: str = "") -> str:
        """Move an upload into a folder of its own, and return its path there.

        Args:
            upload: the path that the client names.
            visitor: value of the client's cookie.
            tab: session of the page that waits for the scan.

        Raises:
            InputError: it is no regular file in an upload folder of this visitor.
        """
        path = Path(upload)
        with self._new_scan(path.name, tab, _group(path)) as scan:
            self._move(path, scan, visitor)
        return str(scan)

    def take_together(self, uploads: Sequence[str | Path], visitor: str, tab: str = "") -> str:
        """Move uploads into one folder, and return its path; that of the file where it is one.

        Raises:
            InputError: one is no regular file in an upload folder of this visitor, or two have the
                same name.
        """
        if len(uploads) == 1:
            return self.take(uploads[0], visitor, tab)
        paths = [Path(upload) for upload in uploads]
        with self._new_scan(TOGETHER, tab, _group(*paths)) as folder:
            folder.mkdir()
            for path in paths:
                if (folder / path.name).exists():
                    raise InputError(f"{path.name}: two of the files have this name; rename one")
                self._move(path, folder / path.name, visitor)
        return str(folder)

    def _move(self, path: Path, target: Path, visitor: str) -> None:
        try:
            own = path.parent.parent == self.arrived and path.parent.name.startswith(
                f"{owner_of(visitor)}-"
            )
            if not own or not stat.S_ISREG(path.lstat().st_mode) or path.resolve() != path:
                raise FileNotFoundError
            path.rename(target)
        except (OSError, ValueError) as error:
            raise InputError(f"{path.name}: not among your uploads; upload it again") from error
        shutil.rmtree(path.parent, ignore_errors=True)

    def add(self, name: str, content: bytes, tab: str) -> str:
        """Write a scan into a folder of its own, and return its path there."""
        with self._new_scan(name, tab) as scan:
            scan.write_bytes(content)
        return str(scan)

    @contextmanager
    def _new_scan(self, name: str, tab: str, group: str = "") -> Iterator[Path]:
        """The path of a new scan, which is kept once the context has put a file there."""
        folder = self._waiting / f"{group}-{secrets.token_hex(16)}"
        folder.mkdir(mode=0o700)
        scan = folder / name
        try:
            yield scan
            os.utime(folder)  # its age counts from now on
            self._tabs[str(scan)] = tab
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @contextmanager
    def claim(self, scan: str) -> Iterator[Path | None]:
        """The scan inside a context, at whose end it is deleted; None if it is gone."""
        found = self._tabs.pop(scan, None) is not None
        try:
            yield Path(scan) if found else None
        finally:
            if found:
                shutil.rmtree(Path(scan).parent, ignore_errors=True)

    def discard(self, scan: str) -> None:
        """Delete a scan, unless someone has claimed it, who deletes it."""
        with self.claim(scan):
            pass

    def _end_visit(self, tab: str) -> None:
        for scan in [scan for scan, its_tab in list(self._tabs.items()) if its_tab == tab]:
            self.discard(scan)

    def sweep(self) -> None:
        """Delete what nobody waits for any more."""
        for scan, tab in list(self._tabs.items()):
            if self._is_due(Path(scan).parent, tab):
                self.discard(scan)
        for path in self.arrived.iterdir():
            if not path.is_dir():
                if _age_s(path) > UNUSED_S:
                    path.unlink(missing_ok=True)
            elif self._is_due(path, path.name.partition("-")[0]):
                shutil.rmtree(path, ignore_errors=True)

    def _is_due(self, folder: Path, key: str) -> bool:
        """Whether a folder of the visitor, or tab, of that key is to be deleted."""
        may_wait = key == ANYONE or self.visits.is_here(key)
        return _age_s(folder) > (UNUSED_S if may_wait else ABANDONED_S)

    @contextmanager
    def room(self, size: int, group: str = "") -> Iterator[bool]:
        """Whether an upload of that many bytes fits; it is counted inside the context."""
        with self._lock:
            stored = self._announced.copy()
            stored.update(_stored(self.arrived, 1))
            stored.update(_stored(self._waiting, 0))
            fits = (
                stored[group] + size <= self._quotas.visitor_bytes
                and stored.total() + size <= self._quotas.bytes_in_sum
            )
            self._announced[group] += size if fits else 0
        try:
            yield fits
        finally:
            with self._lock:
                self._announced[group] -= size if fits else 0
                self._announced += Counter()  # without those of which nothing arrives


def _group(*paths: Path) -> str:
    """Whose quota uploads take from; a client may name any path."""
    found = _FOLDER.fullmatch(paths[0].parent.name) if paths else None
    return found["group"] if found else ""


def _stored(folder: Path, part: int) -> Counter[str]:
    """Bytes in a folder by the part of its folders' names that says whose quota they take from."""
    found: Counter[str] = Counter()
    for path in folder.rglob("*"):
        names = path.relative_to(folder).parts[0].split("-")
        with suppress(OSError):  # deleted meanwhile
            found[names[part] if len(names) > part else ""] += path.lstat().st_size
    return found


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0
