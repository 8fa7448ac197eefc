"""Where the files of a study lie, from its first image to its end.

``incoming`` has images that are being received, ``studies/ID`` the images and results of a study,
and ``failed/ID`` the same of one that failed, with ``reason.txt``.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from ctct.node.hashes import hash_file
from ctct.storage import prepare_folder, write_atomic

REASON = "reason.txt"


class OtherContentError(Exception):
    """The instance is there already, with other content."""


class Spool:
    """The folder of a node.

    Attributes:
        root: the folder.
        incoming: for images that are being received.
        bytes: size of all studies, as of the last :meth:`measure` and what came since.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming, self._studies, self._failed = (
            root / name for name in ("incoming", "studies", "failed")
        )
        for folder in (self.incoming, self._studies, self._failed):
            prepare_folder(folder)
        root.chmod(0o700)
        self.bytes = 0
        self.measure()

    def folder(self, id: str) -> Path:
        """The folder of a study, wherever it is."""
        failed = self._failed / id
        return failed if failed.exists() else self._studies / id

    def images(self, id: str, study: str) -> Path:
        """The folder of a study's images, named after the study."""
        return self.folder(id) / "scan" / study

    def results(self, id: str) -> Path:
        """The folder of a study's results; there only once they are complete."""
        return self.folder(id) / "results"

    def work(self, id: str, start: int) -> Path:
        """A new folder for results that are being made."""
        folder = self.folder(id) / f"work-{start}"
        shutil.rmtree(folder, ignore_errors=True)
        prepare_folder(folder)
        return folder

    def publish_work(self, id: str, work: Path) -> None:
        """Make results the study's; they replace earlier ones."""
        results = self.results(id)
        shutil.rmtree(results, ignore_errors=True)
        work.rename(results)
        _force_to_disk(results.parent)

    def add_image(self, id: str, study: str, instance: str, received: Path) -> int:
        """Take an image in; the number of bytes that it adds.

        Args:
            id: of the study.
            study: its hash.
            instance: hash of the image's UID.
            received: the file, in :attr:`incoming`; it stays there.

        Raises:
            OtherContentError: the study has the image, with other content.
            OSError: it cannot be written.
        """
        folder = self.images(id, study)
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for parent in (folder.parent, folder.parent.parent, self._studies):
                _force_to_disk(parent)
        target = folder / f"{instance}.dcm"
        try:
            os.link(received, target)
        except FileExistsError as error:
            if not filecmp.cmp(received, target, shallow=False):
                raise OtherContentError from error
            return 0
        _force_to_disk(folder)
        size = target.stat().st_size
        self.bytes += size
        return size

    def count_images(self, id: str, study: str) -> tuple[int, int]:
        """Number and size in bytes of the images of a study."""
        sizes = [path.stat().st_size for path in self._image_files(id, study)]
        return len(sizes), sum(sizes)

    def hash_images(self, id: str, study: str) -> dict[str, str]:
        """Hash of the content of each image, by the hash of its UID."""
        return {path.stem: hash_file(path) for path in self._image_files(id, study)}

    def _image_files(self, id: str, study: str) -> list[Path]:
        folder = self.images(id, study)
        return sorted(folder.glob("*.dcm")) if folder.is_dir() else []

    def put_apart(self, id: str, reason: str) -> None:
        """Keep a study apart, with the reason why it failed."""
        folder = self._studies / id
        if not folder.is_dir():
            return
        for work in folder.glob("work-*"):
            shutil.rmtree(work, ignore_errors=True)
        write_atomic(folder / REASON, f"{reason}\n".encode())
        folder.rename(self._failed / id)

    def take_back(self, id: str) -> None:
        """Put a study that failed among the others again."""
        with suppress(FileNotFoundError):
            (self._failed / id).rename(self._studies / id)

    def remove(self, id: str) -> None:
        """Delete all of a study."""
        for folder in (self._studies / id, self._failed / id):
            shutil.rmtree(folder, ignore_errors=True)

    def remove_images(self, id: str) -> None:
        """Delete the images of a study."""
        shutil.rmtree(self.folder(id) / "scan", ignore_errors=True)

    def list_ids(self) -> dict[str, str]:
        """Id of each study that has a folder, to the name of the folder of its images or ""."""
        folders = [*self._studies.iterdir(), *self._failed.iterdir()]
        return {
            folder.name: next((scan.name for scan in folder.glob("scan/*")), "")
            for folder in folders
            if folder.is_dir()
        }

    def sweep_incoming(self, older_s: float = 0) -> None:
        """Remove what was being received and broke off, so long ago."""
        for path in self.incoming.iterdir():
            with suppress(OSError):
                if path.stat().st_mtime <= time.time() - older_s:
                    path.unlink()

    def rename(self, id: str, to: str) -> None:
        """Give the folder of a study another id."""
        if (self._studies / id).exists():
            (self._studies / id).rename(self._studies / to)

    def measure(self) -> None:
        """Count the size of all studies anew."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with suppress(OSError):
                    total += (Path(folder) / name).stat().st_size
        self.bytes = total

    def free_bytes(self) -> int:
        """Room on the disk."""
        return shutil.disk_usage(self.root).free


def _force_to_disk(folder: Path) -> None:
    with suppress(OSError):  # not every file system can do this to a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
