"""Reading a visitor's scan, in another process; imports nothing that takes long to load there."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.cases.read import find_case, read_case
from ctct.cases.read_apart import read_apart
from ctct.errors import InputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.io.dicom.files import Opener, is_dicom, is_zip
from ctct.io.label_maps import check_same_grid
from ctct.io.study import Study

#: Largest scan of a visitor, as 32-bit numbers; keeps the server's memory below 2 GB.
MAX_UNPACKED_BYTES = 3 * 2**26
#: Largest unpacked size and largest number of files of a zip.
MAX_ZIP_BYTES, MAX_MEMBERS = 2**30, 20_000
#: Longest time to read a scan, in seconds, while other visitors wait.
DEADLINE_S = 60.0


def read_upload(path: Path) -> tuple[tuple[Case, ...], Study]:
    """The only scan in a NIfTI file, a DICOM file or a zip of DICOM, or in a folder of such files.

    Files that hold one frame each, as ED and ES, are cases of their own, and frames of one study.

    Raises:
        InputError: the file cannot be used, or reading it takes too long.
        RuntimeUnavailableError: it is DICOM, and pydicom is not installed.
    """
    if (is_zip(path) or is_dicom(path)) and find_spec("pydicom") is None:
        raise RuntimeUnavailableError(
            f"{path}: reading DICOM needs pydicom; {how_to_install('dicom')}"
        )
    return read_apart(path, _read, path, deadline_s=DEADLINE_S, max_bytes=MAX_UNPACKED_BYTES)


def _read(path: Path) -> tuple[tuple[Case, ...], Study]:
    check_zip(path)
    if path.is_dir():
        return _read_together(path)
    if is_dicom(path) and _holds_one_image(path):
        raise InputError(
            f"{path}: one DICOM image of many; give all images of the cine together, or a zip of "
            "their folder"
        )
    case = find_case(path)
    return (case,), read_case(case, MAX_UNPACKED_BYTES)


def _holds_one_image(path: Path) -> bool:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
        return int(header.get("NumberOfFrames") or 1) == 1
    except (InvalidDicomError, OSError, ValueError):
        return False  # reading it will say what is wrong


def _read_together(folder: Path) -> tuple[tuple[Case, ...], Study]:
    """The scan of a folder, or the frames of one patient that its files hold, as one study."""
    cases, _ = discover([folder])
    if len({case.patient for case in cases}) > 1:
        names = " and ".join(case.path.name for case in cases[:2])
        raise InputError(
            f"{names}: not of one scan; give one at a time, or ED and ES of one patient in files "
            "whose names end in _ED and _ES"
        )
    each = MAX_UNPACKED_BYTES // len(cases)
    studies = [read_case(case, each) for case in cases]
    for study in studies[1:]:
        check_same_grid(study, studies[0])
    if len(cases) == 1:
        return (cases[0],), studies[0]
    return tuple(cases), replace(
        studies[0],
        name=cases[0].patient,
        voxels=np.concatenate([study.voxels for study in studies]),
        label_encoder=None,  # that of the first file is for its frames alone
        notes=tuple(dict.fromkeys(note for study in studies for note in study.notes)),
    )


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
