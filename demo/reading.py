"""Reading a visitor's scan; imports nothing that another process would need long to load."""

from __future__ import annotations

from pathlib import Path

from ctct.errors import InputError
from ctct.io.case import Case
from ctct.io.dicom.files import Opener, is_zip
from ctct.io.read import find_case, read_case
from ctct.io.study import Study

#: Largest scan of a visitor, as 32-bit numbers; keeps the server's memory below 2 GB.
MAX_UNPACKED_BYTES = 3 * 2**26
#: Largest unpacked size and largest number of files of a zip.
MAX_ZIP_BYTES, MAX_MEMBERS = 2**30, 20_000


def read_upload(path: Path) -> tuple[Case, Study]:
    """The only scan in a NIfTI file or a zip of DICOM.

    Raises:
        InputError: the file cannot be used.
        RuntimeUnavailableError: it is DICOM, and pydicom is not installed.
    """
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
