"""What scans there are among files and folders, and which of DICOM's series are taken."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.io.dicom_files import DicomFile, is_dicom, is_zip, members
from ctct.io.dicom_header import read_headers
from ctct.io.dicom_series import Series, find_series, judge
from ctct.io.nifti import ENDINGS, case_name

log = logging.getLogger(__name__)

#: Stems that end like this are label maps: skipped in a folder, taken when named.
LABEL_SUFFIXES = ("_gt", "_seg")


@dataclass(frozen=True)
class Found:
    """What there is among files and folders.

    Attributes:
        nifti: scans, each once.
        labels: label maps passed over.
        series: DICOM series.
        reasons: why each of ``series`` is not taken, "" where it is.
    """

    nifti: list[Path]
    labels: list[Path]
    series: list[Series]
    reasons: list[str]


def survey(inputs: Sequence[str | Path]) -> Found:
    """All scans among ``inputs``, and why a DICOM series is not taken.

    Hidden files and folders are passed over, links to folders are not followed. A DICOMDIR stands
    for its folder.

    Raises:
        InputError: an input does not exist.
        RuntimeUnavailableError: there is only DICOM, and pydicom is not installed.
    """
    nifti: list[Path] = []
    labels: list[Path] = []
    dicom: list[DicomFile] = []
    for item in map(Path, inputs):
        if item.name.upper() == "DICOMDIR" and item.is_file():
            item = item.parent
        if item.is_dir():
            for path in _walk(item):
                if path.name.lower().endswith(ENDINGS):
                    (labels if case_name(path).endswith(LABEL_SUFFIXES) else nifti).append(path)
                else:
                    dicom += _dicom(path)
        elif not item.exists() and not item.is_symlink():
            raise InputError(f"{item}: no such file or folder")
        elif own := _dicom(item):
            dicom += own
        else:  # whatever it is: reading it says so
            nifti.append(item)
    once = {(Path(os.path.abspath(one.path)), one.member): one for one in dicom}
    try:
        series = find_series(read_headers(once.values()))
    except RuntimeUnavailableError as error:
        if not nifti:
            raise
        log.warning("%s; passed over", error)
        series = []
    unique = sorted({Path(os.path.abspath(path)): path for path in nifti}.values())
    return Found(unique, labels, series, judge(series))


def _dicom(path: Path) -> list[DicomFile]:
    """What a file holds of DICOM, nothing where it is another."""
    try:
        if is_zip(path):
            return members(path)
        return [DicomFile(path)] if is_dicom(path) else []
    except InputError as error:
        log.debug("%s", error)
        return []


def _walk(folder: Path) -> Iterable[Path]:
    def warn(error: OSError) -> None:
        log.warning("%s: cannot be read (%s); passed over", error.filename, error.strerror)

    for parent, folders, files in os.walk(folder, onerror=warn):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(parent) / name
