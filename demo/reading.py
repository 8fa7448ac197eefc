"""Reading a visitor's scan, in another process; imports nothing that takes long to load there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ctct.cases.case import Case
from ctct.cases.read import find_case, read_case
from ctct.cases.read_apart import read_apart
from ctct.errors import InputError, RuntimeUnavailableError
from ctct.io.dicom.files import Opener, is_zip
from ctct.io.study import Study

#: Largest scan of a visitor, as 32-bit numbers; keeps the server's memory below 2 GB.
MAX_UNPACKED_BYTES = 3 * 2**26
#: Largest unpacked size and largest number of files of a zip.
MAX_ZIP_BYTES, MAX_MEMBERS = 2**30, 20_000
#: Longest time to read a scan, in seconds, while other visitors wait.
DEADLINE_S = 60.0


def read_upload(path: Path) -> tuple[Case, Study]:
    """The only scan in a NIfTI file or a zip of DICOM.

    Raises:
        InputError: the file cannot be used, or reading it takes too long.
        RuntimeUnavailableError: it is DICOM, and pydicom is not installed.
    """
    if is_zip(path) and find_spec("pydicom") is None:
        raise RuntimeUnavailableError(
            f"{path}: reading DICOM needs pydicom; pip install 'ctct[dicom]'"
        )
    return read_apart(path, _read, path, deadline_s=DEADLINE_S, max_bytes=MAX_UNPACKED_BYTES)


def _read(path: Path) -> tuple[Case, Study]:
    check_zip(path)
    case = find_case(path)
    return case, read_case(case, MAX_UNPACKED_BYTES)


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
