"""Results in object storage: made in a folder on the disk, and uploaded file by file.

An object appears as a whole or not at all, so an upload takes the place of a rename. The record of
a case is uploaded last. What could not be uploaded stays in the folder, and the next run goes on
from there.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from ctct.cases.case import Case
from ctct.errors import InputError, OutputError
from ctct.io.remote import RemoteFile, download, list_all, naming, open_storage, url_below
from ctct.prediction.pipeline import Observer
from ctct.prediction.quality_record import (
    contours_path,
    disagreement_path,
    indicators_path,
    output_path,
)
from ctct.prediction.results import Summary
from ctct.prediction.run_manifest import DONE, FAILED, MANIFEST, SHARD_MANIFESTS, CaseStatus
from ctct.storage import cache_folder, lock_folder, prepare_folder

log = logging.getLogger(__name__)

_CHECK = ".ctct-check"
_UPLOADERS = 4


class Mirror:
    """A folder on the disk for the results at a URL.

    Args:
        url: where the results are.

    Raises:
        OutputError: nothing can be written there, or what is there cannot be read.
        RuntimeUnavailableError: a package is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        name = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self.folder = cache_folder("results") / name
        self._known: dict[str, tuple[int, int]] = {}  # size and time of files that are there too
        self._pool = ThreadPoolExecutor(_UPLOADERS, "upload")
        self._waiting: list[Future[None]] = []
        prepare_folder(self.folder)

    def fetch(self) -> None:
        """Bring the folder up to what is at the URL, after a check that one can write there."""
        with lock_folder(self.folder), self._writing():
            system, root = open_storage(self.url)
            with naming(self.url):
                system.pipe_file(f"{root}/{_CHECK}", b"ctct")
                with suppress(Exception):  # some may write, and not remove
                    system.rm_file(f"{root}/{_CHECK}")
            found = [file for file in list_all(self.url) if file.below != _CHECK]
            missing = [file for file in found if not self._is_same(file)]
            if missing:
                log.info("%s: fetching %d files of earlier runs", self.url, len(missing))
                download(self.url, missing, self.folder)
        self._known = {file.below: self._stamp(file.below) for file in found}

    def upload(self, paths: Iterable[Path]) -> None:
        """Upload some files that are there, one after the other."""
        for path in paths:
            if not path.is_file():
                continue
            below = path.relative_to(self.folder).as_posix()
            stamp = self._stamp(below)
            if self._known.get(below) == stamp:
                continue
            with self._writing(), naming(url_below(self.url, below)):
                system, root = open_storage(self.url)
                system.pipe_file(f"{root}/{below}", path.read_bytes())
            self._known[below] = stamp

    def upload_later(self, paths: Iterable[Path]) -> None:
        """Upload files in another thread, while the run goes on.

        Raises:
            OutputError: an earlier upload has failed.
        """
        done = [future for future in self._waiting if future.done()]
        self._waiting = [future for future in self._waiting if not future.done()]
        for future in done:
            future.result()
        self._waiting.append(self._pool.submit(self.upload, list(paths)))

    def upload_all(self) -> None:
        """Upload all that is not at the URL: records after other files, run manifests last.

        Raises:
            OutputError: an upload has failed; all files are in the folder.
        """
        for future in self._waiting:
            future.result()
        self._waiting = []
        self.upload(sorted(self._files(), key=_rank))

    def _files(self) -> Iterator[Path]:
        for path in self.folder.rglob("*"):
            is_hidden = path.name.startswith(".") and path.name != ".bidsignore"
            if path.is_file() and not is_hidden:
                yield path

    def _stamp(self, below: str) -> tuple[int, int]:
        found = (self.folder / below).stat()
        return found.st_size, found.st_mtime_ns

    def _is_same(self, file: RemoteFile) -> bool:
        path = self.folder / file.below
        if not path.is_file() or path.stat().st_size != file.bytes:
            return False
        return not file.md5 or hashlib.md5(path.read_bytes()).hexdigest() == file.md5

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            reason = str(error).replace("be read", "be written")
            raise OutputError(
                f"{reason}; results are kept in {self.folder}, the same command continues", True
            ) from error


def _rank(path: Path) -> tuple[int, str]:
    is_manifest = path.name == MANIFEST or path.match(SHARD_MANIFESTS)
    is_record = path.suffix == ".json" and path.parent.name == "quality"
    return (2 if is_manifest else 1 if is_record else 0), str(path)


class UploadingObserver(Observer):
    """Uploads the files of each case that ends, its record last, and tells another observer."""

    def __init__(self, observer: Observer, mirror: Mirror, folder: Path) -> None:
        self._observer, self._mirror, self._folder = observer, mirror, folder

    def run_started(self, cases: int | None) -> None:
        """Passed on."""
        self._observer.run_started(cases)

    def case_taken(self) -> None:
        """Passed on."""
        self._observer.case_taken()

    def slices_done(self, case: Case, done: int, total: int) -> None:
        """Passed on."""
        self._observer.slices_done(case, done, total)

    def case_ended(self, case_status: CaseStatus) -> None:
        """Passed on; the files are uploaded in another thread."""
        self._observer.case_ended(case_status)
        if case_status.status in (DONE, FAILED):
            places = (output_path, disagreement_path, contours_path, indicators_path)
            self._mirror.upload_later(p(self._folder, case_status.case) for p in places)

    def patients_measured(self, summary: Summary) -> None:
        """Passed on."""
        self._observer.patients_measured(summary)
