"""Finding the scans among files and folders, and giving every case a name of its own."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.io.case import Case, case_names
from ctct.io.dicom.files import DicomFile, is_dicom, is_zip, members
from ctct.io.dicom.header import read_headers
from ctct.io.dicom.series import Series, find_series, judge, study_of
from ctct.io.files import ENDINGS, ITK_ENDINGS, case_name
from ctct.io.nifti_slices import find_stacks

log = logging.getLogger(__name__)
_NO_CINE = (
    "none of the DICOM series (%d) is a short-axis cine; ctct info PATH says why of each, "
    "ctct predict --series UID takes any"
)
#: Stems that end like this are label maps: skipped in a folder, taken when named.
LABEL_SUFFIXES = ("_gt", "_seg", ".seg")


def discover(
    inputs: Sequence[str | Path], uids: Sequence[str] = ()
) -> tuple[list[Case], list[Path]]:
    """All scans among ``inputs``: files as they are, folders searched recursively.

    Of DICOM, the short-axis cine of each study in a folder or zip; of NIfTI files of one slice that
    lie side by side in a folder, their stack.

    Args:
        inputs: NIfTI, MetaImage or NRRD files, DICOM files, zips of these, folders.
        uids: SeriesInstanceUIDs to take in place of what looks like a short-axis cine.

    Returns:
        The cases, in sorted order with unique names, and the label maps passed over.

    Raises:
        InputError: an input does not exist, there is no scan in any of them, or no such series.
        RuntimeUnavailableError: what reads all that is there is not installed.
    """
    found = survey(inputs)
    taken = [s for s, why in zip(found.series, found.reasons, strict=True) if not why]
    if uids:
        wished = (_series_of(uid, found.series) for uid in uids)
        taken = list({one.digest: one for one in wished}.values())
    where = ", ".join(map(str, inputs))
    others = [*found.files, *found.stacks]
    if not others and not found.series:
        expected = ", ".join(ENDINGS + ITK_ENDINGS)
        raise InputError(f"{where}: no scan found; expected files ending in {expected}, or DICOM")
    if not others and not taken:
        raise InputError(f"{where}: {_NO_CINE % len(found.series)}")
    if not uids:
        studies: dict[object, list[Series]] = defaultdict(list)
        for one in found.series:
            studies[study_of(one.first)].append(one)
        for study in studies.keys() - {study_of(one.first) for one in taken}:
            log.warning("%s: %s", studies[study][0].path, _NO_CINE % len(studies[study]))
    scans = [(path, Case(path, "")) for path in found.files]  # what it is named after, and the case
    scans += [
        (_folder_of(stack, found.stacks), Case(stack[0].parent, "", slices=stack))
        for stack in found.stacks
    ]
    scans += [(_label(one, taken), Case(one.path, "", one)) for one in taken]
    scans = [(Path(os.path.abspath(label)), case) for label, case in scans]
    scans.sort(key=lambda scan: (scan[0], scan[1].identity))
    names = case_names([label for label, _ in scans], [case.identity for _, case in scans])
    cases = [replace(case, name=name) for (_, case), name in zip(scans, names, strict=True)]
    return cases, found.labels


def _series_of(uid: str, series: Sequence[Series]) -> Series:
    """The series of that UID; of parts that differ in geometry the largest."""
    matching = [one for one in series if uid in one.uids]
    if not matching:
        raise InputError(f"--series {uid}: not there; ctct info PATH lists the series")
    return max(matching, key=lambda one: len(one.images))


def _label(series: Series, others: Sequence[Series]) -> Path:
    """A path that a series is named after: its folder or zip; if need be with more."""
    path = Path(os.path.abspath(series.path))
    if not path.name:  # the root of the file system
        path = path / "dicom"
    numbers = [one.first.number for one in others if one.path == series.path]
    if len(numbers) == 1:
        return path
    own = series.first.number
    more = f"series{own}" if numbers.count(own) == 1 else series.digest[:8]
    suffix = path.suffix if series.first.file.member else ""
    return path.with_name(f"{path.name.removesuffix(suffix)}_{more}{suffix}")


def _folder_of(stack: tuple[Path, ...], others: Sequence[tuple[Path, ...]]) -> Path:
    """A path that slices are named after: their folder, if need be with the first one's name."""
    folder = Path(os.path.abspath(stack[0].parent))
    alone = sum(other[0].parent == stack[0].parent for other in others) == 1
    return folder if alone else folder.with_name(f"{folder.name}_{case_name(stack[0])}")


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
