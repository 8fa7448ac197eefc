"""What visitors upload: each scan in a private folder of its own, deleted after use.

Gradio keeps more, and for longer, than a server of patients' scans should. What is changed about it
is here, with the reasons.
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

#: Bytes and number of the files that a zip may hold.
MAX_ZIP_BYTES, MAX_MEMBERS = 2**30, 20_000


class _Upload(route_utils.GradioUploadFile):  # type: ignore[misc]
    """A file under way to this server, which gets a path of its own.

    Gradio names the folder of an upload after its content: two visitors with the same file would
    share one path, and the first to be done would take the other's file away.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(16))


def _forget(session: SessionState, key: int, value: object) -> None:
    """Do not keep what a visitor was shown: it would stay in memory until the server ends.

    Gradio keeps it for links to a page as it was, which this page does not offer.
    """


route_utils.GradioUploadFile = _Upload
SessionState._update_value_in_config = _forget


class Uploads:
    """The scans of all visitors, until they are labelled.

    Args:
        folder: nobody else's to read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in_use: set[str] = set()

    def take(self, upload: str | Path) -> str:
        """Move an upload into a folder of its own; its new path."""
        upload = Path(upload)
        path = shutil.move(upload, self.new_folder() / upload.name)
        shutil.rmtree(upload.parent, ignore_errors=True)
        return str(path)

    def new_folder(self) -> Path:
        """An empty folder, for one scan."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    def discard(self, path: str) -> None:
        """Delete a scan, unless it is being labelled: then that does."""
        if path and path not in self._in_use:
            shutil.rmtree(Path(path).parent, ignore_errors=True)

    @contextmanager
    def in_use(self, path: str) -> Iterator[Path]:
        """Keep a scan as long as the context lasts, and delete it then, whatever happens."""
        self._in_use.add(path)
        try:
            yield Path(path)
        finally:
            self._in_use.remove(path)
            self.discard(path)


def check_zip(path: Path) -> None:
    """Refuse a zip that would take too much of this machine; other files pass.

    Nothing of a zip is unpacked to disk, so the names in it cannot lead anywhere.

    Raises:
        InputError: it is damaged, or holds too much.
    """
    if not is_zip(path):
        return
    with Opener() as opener:
        members = opener.archive(path).infolist()
    size = sum(member.file_size for member in members)
    if size > MAX_ZIP_BYTES or len(members) > MAX_MEMBERS:
        raise InputError(
            f"{path}: unpacks to {size / 2**20:.0f} MB in {len(members)} files, this page takes "
            f"{MAX_ZIP_BYTES / 2**20:.0f} MB in {MAX_MEMBERS}; zip the short-axis cine alone, "
            "or use ctct predict"
        )
