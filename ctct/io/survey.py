"""What scans there are among files and folders, and which of DICOM's series are taken."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.io.dicom.files import DicomFile, is_dicom, is_zip, members
from ctct.io.dicom.header import read_headers
from ctct.io.dicom.series import Series, find_series, judge
from ctct.io.nifti import ENDINGS, ITK_ENDINGS, case_name
from ctct.io.nifti_slices import find_stacks

log = logging.getLogger(__name__)

#: Stems that end like this are label maps: skipped in a folder, taken when named.
LABEL_SUFFIXES = ("_gt", "_seg", ".seg")


@dataclass(frozen=True)
class Found:
    """What there is among files and folders.

    Attributes:
        files: scans of a file each, NIfTI, MetaImage or NRRD; each once.
        stacks: scans of a NIfTI file a slice, in order.
        labels: label maps passed over.
        series: DICOM series.
        reasons: why each of ``series`` is not taken, "" where it is.
    """

    files: list[Path]
    stacks: list[tuple[Path, ...]]
    labels: list[Path]
    series: list[Series]
    reasons: list[str]


def survey(inputs: Sequence[str | Path]) -> Found:
    """All scans among ``inputs``, and why a DICOM series is not taken.

    Hidden files and folders are passed over, links to folders are not followed. A DICOMDIR stands
    for its folder.

    Raises:
        InputError: an input does not exist.
        RuntimeUnavailableError: what reads all that is there is not installed.
    """
    named: list[Path] = []
    walked: list[Path] = []
    labels: list[Path] = []
    dicom: list[DicomFile] = []
    for item in map(Path, inputs):
        if item.name.upper() == "DICOMDIR" and item.is_file():
            item = item.parent
        if item.is_dir():
            for path in _walk(item):
                if path.name.lower().endswith(ENDINGS + ITK_ENDINGS):
                    (labels if case_name(path).endswith(LABEL_SUFFIXES) else walked).append(path)
                else:
                    dicom += _dicom(path)
        elif not item.exists() and not item.is_symlink():
            raise InputError(f"{item}: no such file or folder")
        elif own := _dicom(item):
            dicom += own
        else:  # whatever it is: reading it says so
            named.append(item)
    once = {(Path(os.path.abspath(one.path)), one.member): one for one in dicom}
    try:
        series = find_series(read_headers(once.values()))
    except RuntimeUnavailableError as error:
        if not named and not walked:
            raise
        log.warning("%s; passed over", error)
        series = []
    stacks = find_stacks(_once(walked))
    parts = {path for stack in stacks for path in stack}
    alone = _once([*named, *(path for path in walked if path not in parts)])
    others = bool(stacks or series)
    return Found(_with_reader(alone, others), stacks, labels, series, judge(series))


def _with_reader(files: list[Path], others: bool) -> list[Path]:
    """Those of ``files`` that can be read with what is installed; ``others`` are there too."""
    lacking = [path for path in files if path.name.lower().endswith(ITK_ENDINGS)]
    if not lacking or find_spec("SimpleITK"):
        return files
    why = f"{lacking[0]}: reading it needs SimpleITK; pip install 'ctct[itk]'"
    if len(lacking) == len(files) and not others:
        raise RuntimeUnavailableError(why)
    log.warning("%s; such files are passed over: %d", why, len(lacking))
    return [path for path in files if path not in lacking]


def _once(paths: Iterable[Path]) -> list[Path]:
    return sorted({Path(os.path.abspath(path)): path for path in paths}.values())


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
