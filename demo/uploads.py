"""Uploaded scans: each in a private folder, deleted after use.

Gradio keeps more data, and for longer, than a server of patients' scans should. This module changes
that.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradio import route_utils
from gradio.state_holder import SessionState

from ctct.errors import InputError
from ctct.io.dicom.files import Opener, is_zip

#: Largest unpacked size and largest number of files of a zip.
MAX_ZIP_BYTES, MAX_MEMBERS = 2**30, 20_000


class _Upload(route_utils.GradioUploadFile):  # type: ignore[misc]
    """An upload with a path of its own.

    Gradio names the folder of an upload after its content. Two visitors with the same file would
    share a path, and the first to finish would delete the other's file.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(16))


def _forget(session: SessionState, key: int, value: object) -> None:
    """Do not keep what a visitor was shown, which would stay in memory until the server ends.

    Gradio keeps it for links to an earlier state of a page; this page offers none.
    """


route_utils.GradioUploadFile = _Upload
SessionState._update_value_in_config = _forget


class Uploads:
    """The scans of all visitors until they are labelled.

    Args:
        folder: a folder that no other user can read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in_use: set[str] = set()

    def take(self, upload: str | Path) -> str:
        """Move an upload into a folder of its own, and return its path there."""
        upload = Path(upload)
        path = shutil.move(upload, self.new_folder() / upload.name)
        shutil.rmtree(upload.parent, ignore_errors=True)
        return str(path)

    def new_folder(self) -> Path:
        """Make a folder for one scan."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    def discard(self, path: str) -> None:
        """Delete a scan, unless it is being labelled; it is deleted afterwards then."""
        if path and path not in self._in_use:
            shutil.rmtree(Path(path).parent, ignore_errors=True)

    @contextmanager
    def in_use(self, path: str) -> Iterator[Path]:
        """Keep a scan inside a context; delete it at the end, also after an error."""
        self._in_use.add(path)
        try:
            yield Path(path)
        finally:
            self._in_use.remove(path)
            self.discard(path)


def check_zip(path: Path) -> None:
    """Refuse a zip that is too large for this machine; accept any other file.

    A zip is never unpacked to the disk, so that the paths in it are harmless.

    Raises:
        InputError: the zip is damaged or too large.
    """
    if not is_zip(path):
        return
    with Opener() as opener:
        members = opener.archive(path).infolist()
    size = sum(member.file_size for member in members)
    if size > MAX_ZIP_BYTES or len(members) > MAX_MEMBERS:
        raise InputError(
            f"{path}: unpacks to {size / 2**20:.0f} MB in {len(members)} files, this page takes "
            f"{MAX_ZIP_BYTES / 2**20:.0f} MB in {MAX_MEMBERS}; zip only the short-axis cine, "
            "or use ctct predict"
        )
