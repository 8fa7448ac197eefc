"""Finding the scans in files and folders, and naming the cases."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from ctct.cases.bids import DESCRIPTION, OTHER_FOLDERS, is_of_another_kind
from ctct.cases.case import Case
from ctct.cases.case_names import check_unique, name_case
from ctct.cases.frames import join_frames
from ctct.cases.inputs_without_scan import InputsWithoutScan
from ctct.cases.nifti_slices import find_stacks
from ctct.cases.other_formats import explain_formats, explain_no_images, explain_other_kinds
from ctct.cases.read_apart import DEADLINE_S, read_apart, read_headers_apart
from ctct.choices import NameFrom
from ctct.errors import InputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.io.dicom.directory import find_missing, find_without_images
from ctct.io.dicom.files import DicomFile, is_dicom, is_zip, list_zip
from ctct.io.dicom.grouping import find_series
from ctct.io.dicom.series import Series, study_key
from ctct.io.dicom.short_axis import RIVAL, explain_rejections, note_doubts
from ctct.io.dicom.unreadable import assign_unreadable
from ctct.io.files import ENDINGS, ITK_ENDINGS, case_name

log = logging.getLogger(__name__)
_NO_CINE = (
    "none of the DICOM series (%d) is a short-axis cine; ctct info PATH says why of each, "
    "ctct predict --series UID takes any"
)
_MAX_SHOWN = 5  # kinds of files that are no scans, in a message
#: Stems that end in one of these words, or hold "gt", are label maps: skipped in a folder, and read
#: when named. A sequence of them ends in ".seq" too.
_LABEL_MAP = re.compile(
    r"[_\-.](?:gt(?=[_\-.])|(?:gt|d?seg|segmentation|labels?|labelmap|mask)(?:\.seq)?$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ScanList:
    """The scans in files and folders.

    Attributes:
        files: scans of one file each, NIfTI, MetaImage or NRRD, without duplicates.
        stacks: scans of one NIfTI file per slice, in order.
        label_maps: label maps that were skipped.
        series: DICOM series.
        rejections: for each of ``series`` why it is no short-axis cine to segment, or "".
        other_formats: what other files in folders are, and what to do with them.
    """

    files: list[Path]
    stacks: list[tuple[Path, ...]]
    label_maps: list[Path]
    series: list[Series]
    rejections: list[str]
    other_formats: list[str]

    @property
    def places(self) -> Iterator[Path]:
        """The files of all of them; the folders and zips of the series."""
        yield from self.files
        yield from chain(*self.stacks)
        yield from self.label_maps
        for series in self.series:
            yield from {image.file.path for image in series.images}


def list_scans(inputs: Sequence[str | Path], deadline_s: float = DEADLINE_S) -> ScanList:
    """All scans in ``inputs``, and why a DICOM series would not be segmented.

    Folders are searched recursively, except hidden ones and links. Hidden files are skipped. A
    DICOMDIR stands for its folder.

    Args:
        inputs: files and folders.
        deadline_s: seconds that the headers of a DICOM file or zip may take.

    Raises:
        InputError: an input does not exist.
        RuntimeUnavailableError: the package that reads the only scans is not installed.
    """
    named: list[Path] = []
    in_folders: list[Path] = []
    for item in map(without_dicomdir, map(Path, inputs)):
        if item.is_dir():
            in_folders += walk(item)
        else:
            named.append(item)
    return sort_files(named, in_folders, deadline_s)


def is_label_map(path: Path) -> bool:
    """Whether the name of a file is that of a label map."""
    return bool(_LABEL_MAP.search(case_name(path)))


def sort_files(
    given: Sequence[Path], found: Sequence[Path], deadline_s: float = DEADLINE_S
) -> ScanList:
    """The scans in files; see :func:`list_scans`.

    Args:
        given: files that the user named.
        found: files in folders.
        deadline_s: seconds that the headers of a DICOM file or zip may take.
    """
    named: list[Path] = []
    in_folders: list[Path] = []
    label_maps: list[Path] = []
    dicom: list[DicomFile] = []
    others: list[DicomFile] = []
    unknown: list[Path] = []
    other_kinds: list[Path] = []
    for path in found:
        if not path.name.lower().endswith(ENDINGS + ITK_ENDINGS):
            dicom_files, other_files = _dicom_files(path, deadline_s)
            dicom += dicom_files
            others += other_files
            if is_zip(path) and not dicom_files and not other_files:
                named.append(path)  # reading it tells why it cannot be used
            elif not dicom_files:
                unknown.append(path)
        elif is_label_map(path):
            label_maps.append(path)
        elif is_of_another_kind(path):
            other_kinds.append(path)
        else:
            in_folders.append(path)
    for item in given:
        if not item.exists() and not item.is_symlink():
            raise InputError(f"{item}: no such file or folder")
        dicom_files, other_files = _dicom_files(item, deadline_s)
        dicom += dicom_files
        if dicom_files:
            others += other_files
        else:  # of any kind: reading it tells whether it is a scan
            named.append(item)
    unique_dicom = {(Path(os.path.abspath(file.path)), file.member): file for file in dicom}
    try:
        images, damaged, unread = read_headers_apart(unique_dicom.values(), deadline_s)
        named += unread  # reading them as scans tells why
    except RuntimeUnavailableError as error:
        if not named and not in_folders:
            raise
        log.warning("%s; skipped", error)
        images, damaged = [], []
    missing = find_missing([*dicom, *others]) if images else {}
    series, lost = assign_unreadable(find_series(images), damaged, others, missing)
    named += lost  # reading them tells why they cannot be used
    series = note_doubts(series)
    stacks = find_stacks(_unique(in_folders))
    slices = {path for stack in stacks for path in stack}
    files = _unique([*named, *(path for path in in_folders if path not in slices)])
    readable = _readable(files, has_others=bool(stacks or series))
    formats = explain_formats(unknown, pictures=not (readable or stacks or series))
    if other_kinds:
        formats.append(explain_other_kinds(other_kinds))
    if empty := find_without_images(dicom, series):
        formats.append(explain_no_images(empty))
    return ScanList(readable, stacks, label_maps, series, explain_rejections(series), formats)


def discover(
    inputs: Sequence[str | Path],
    uids: Sequence[str] = (),
    name_from: NameFrom = "path",
    *,
    deadline_s: float = DEADLINE_S,
) -> tuple[list[Case], list[Path]]:
    """The cases to segment in ``inputs``: files, and scans in folders and zips.

    Of DICOM, the short-axis cine of each study in a folder or zip is taken. NIfTI files with one
    slice each that lie in one folder and make a stack are one case.

    Args:
        inputs: NIfTI, MetaImage or NRRD files, DICOM files, zips with DICOM, folders.
        uids: SeriesInstanceUIDs to take instead of the series that look like short-axis cines.
        name_from: what a case is named after. "path": its path below the input, with ``_`` between
            the parts; a folder that the rest begins with is left out. "file": its file, or its
            folder or zip of DICOM. "study": a hash of its StudyInstanceUID. "patient": its
            PatientID. Of several series in one folder or zip, each name ends in a hash of its UIDs.
        deadline_s: seconds that the headers of a DICOM file or zip may take.

    Returns:
        The cases, sorted, with unique names, and those of a patient's frames with one ``patient``;
        and the label maps that were skipped.

    Raises:
        InputError: an input or a series does not exist, there is no scan in any input, or two scans
            have the same name.
        ConfigError: a scan lacks what it is to be named after.
        RuntimeUnavailableError: the package that reads the only scans is not installed.
    """
    scans = list_scans(inputs, deadline_s)
    cines = choose_cines(scans, uids)
    if missing := set(uids) - {uid for series in scans.series for uid in series.uids}:
        raise unknown_series(min(missing))
    check_found(inputs, scans, cines)
    for kind in scans.other_formats:
        log.warning("%s; skipped", kind)
    if not uids:
        warn_of_studies_without_cine(scans.series, cines)
    without_scan = InputsWithoutScan(list(map(Path, inputs)))
    without_scan.see(scans.places)
    without_scan.warn()
    roots = find_roots(inputs)
    named = check_unique(name_scans(scans, cines, roots, name_from), roots, name_from)
    _warn_of_links(named)
    return join_frames(named), scans.label_maps


def choose_cines(scans: ScanList, uids: Sequence[str] = ()) -> list[Series]:
    """The series to segment: the short-axis cine of each study, or those with one of some UIDs."""
    if uids:
        requested = [series for uid in uids for series in _series_with(uid, scans.series)]
        cines, rivals = list({series.digest: series for series in requested}.values()), []
    else:
        reasons = list(zip(scans.series, scans.rejections, strict=True))
        cines = [series for series, why in reasons if not why]
        rivals = [series for series, why in reasons if why.startswith(RIVAL)]
    return [_name_unused(cine, rivals, scans.series) for cine in cines]


def check_found(inputs: Sequence[str | Path], scans: ScanList, cines: Sequence[Series]) -> None:
    """Check that there is a scan.

    Raises:
        InputError: there is none; says what is there.
    """
    if scans.files or scans.stacks or cines:
        return
    where = ", ".join(map(str, inputs))
    if scans.series:
        raise InputError(f"{where}: {_NO_CINE % len(scans.series)}")
    expected = f"expected files ending in {', '.join(ENDINGS + ITK_ENDINGS)}, or DICOM"
    found = " | ".join(scans.other_formats[:_MAX_SHOWN]) or expected
    if scans.label_maps:
        count, first = len(scans.label_maps), scans.label_maps[0]
        found = f"{count} label maps such as {first}, which are read when named; {found}"
    raise InputError(f"{where}: no scan found; {found}")


def find_roots(inputs: Sequence[str | Path]) -> list[Path]:
    """The files and folders that cases are named below, absolute."""
    return [Path(os.path.abspath(without_dicomdir(Path(path)))) for path in inputs]


def name_scans(
    scans: ScanList, cines: Sequence[Series], roots: Sequence[Path], name_from: NameFrom
) -> list[Case]:
    """The cases of scans, sorted, with their names."""
    # Each case with the path that it is named after.
    cases = [(path, Case(path, "")) for path in scans.files]
    cases += [
        (_stack_label(stack, scans.stacks), Case(stack[0].parent, "", slices=stack))
        for stack in scans.stacks
    ]
    cases += [(_series_label(cine, cines), Case(cine.path, "", cine)) for cine in cines]
    cases = [(Path(os.path.abspath(label)), case) for label, case in cases]
    cases.sort(key=lambda item: (item[0], item[1].identity))
    return [name_case(case, label, roots, name_from) for label, case in cases]


def _warn_of_links(cases: Sequence[Case]) -> None:
    """Two links may be of two patients whose scans are equal, so both are segmented."""
    seen: dict[tuple[int, int], Path] = {}
    for case in cases:
        if case.series or case.slices or not case.path.is_file():
            continue
        found = case.path.stat()
        first = seen.setdefault((found.st_dev, found.st_ino), case.path)
        if first != case.path:
            log.warning("%s and %s are one file, which is in the results twice", first, case.path)


def without_dicomdir(path: Path) -> Path:
    """The folder that a DICOMDIR stands for, or the path itself."""
    return path.parent if path.name.upper() == "DICOMDIR" and path.is_file() else path


def unknown_series(uid: str) -> InputError:
    """The error of a UID that no series has."""
    return InputError(f"--series {uid}: not there; ctct info PATH lists the series")


def _series_with(uid: str, all_series: Sequence[Series]) -> list[Series]:
    """The series with this UID, one per study of a patient; of several parts the most complete."""
    best: dict[tuple[str, str], Series] = {}
    for series in sorted(all_series, key=lambda series: (len(series.images), series.rank)):
        if uid in series.uids:
            best[series.first.study, series.first.acquisition.patient] = series
    return list(best.values())


def _name_unused(cine: Series, rivals: Sequence[Series], all_series: Sequence[Series]) -> Series:
    """The cine with a note on what is not used: ``rivals`` of its study, and its other parts."""
    parts = [series for series in all_series if not set(series.uids).isdisjoint(cine.uids)]
    unused = dict.fromkeys(
        f"{series.label}, {len(series.slices)} slices of {series.phases} phases"
        for series in [*rivals, *(part for part in parts if part.part != cine.part)]
        if study_key(series.first) == study_key(cine.first)
    )
    if not unused:
        return cine
    note = f"{cine.label} is used; of the same kind and not used: {'; '.join(unused)}"
    return replace(cine, notes=(*cine.notes, note))


def warn_of_studies_without_cine(all_series: Sequence[Series], cines: Sequence[Series]) -> None:
    """Say of each study in which none of the series is a short-axis cine."""
    studies: dict[object, list[Series]] = defaultdict(list)
    for series in all_series:
        studies[study_key(series.first)].append(series)
    for key in studies.keys() - {study_key(cine.first) for cine in cines}:
        log.warning("%s: %s", studies[key][0].path, _NO_CINE % len(studies[key]))


def _series_label(series: Series, cines: Sequence[Series]) -> Path:
    """The path that a series is named after: its folder or zip.

    It ends in a digest of the UIDs where that holds several.
    """
    path = Path(os.path.abspath(series.path))
    if not path.name:  # the root of the file system
        path = path / "dicom"
    if sum(cine.path == series.path for cine in cines) == 1:
        return path
    suffix = path.suffix if series.first.file.member else ""
    return path.with_name(f"{path.name.removesuffix(suffix)}_{series.digest[:8]}{suffix}")


def _stack_label(stack: tuple[Path, ...], stacks: Sequence[tuple[Path, ...]]) -> Path:
    """The path that a stack is named after: its folder, with the first file if not the only one."""
    folder = Path(os.path.abspath(stack[0].parent))
    is_only_one = sum(other[0].parent == stack[0].parent for other in stacks) == 1
    return folder if is_only_one else folder.with_name(f"{folder.name}_{case_name(stack[0])}")


def _readable(files: list[Path], has_others: bool) -> list[Path]:
    """The files that the installed packages can read.

    Raises:
        RuntimeUnavailableError: no file can be read, and there are no other scans.
    """
    unreadable = [path for path in files if path.name.lower().endswith(ITK_ENDINGS)]
    if not unreadable or find_spec("SimpleITK"):
        return files
    reason = f"{unreadable[0]}: reading it needs SimpleITK; {how_to_install('itk')}"
    if len(unreadable) == len(files) and not has_others:
        raise RuntimeUnavailableError(reason)
    log.warning("%s; such files skipped: %d", reason, len(unreadable))
    return [path for path in files if path not in unreadable]


def _unique(paths: Iterable[Path]) -> list[Path]:
    return sorted({Path(os.path.abspath(path)): path for path in paths}.values())


def _dicom_files(path: Path, deadline_s: float) -> tuple[list[DicomFile], list[DicomFile]]:
    """The DICOM files in a zip, or the file itself if it is DICOM; and the other files."""
    try:
        if is_zip(path):
            return read_apart(path, list_zip, path, deadline_s=deadline_s)
    except InputError as error:
        log.debug("%s", error)
        return [], []
    file = [DicomFile(path)]
    return (file, []) if is_dicom(path) else ([], [] if path.name.upper() == "DICOMDIR" else file)


def walk(folder: Path) -> Iterator[Path]:
    """The files in a folder and in those below it, except hidden ones and links to folders."""
    for files in walk_folders(folder):
        yield from files


def walk_folders(folder: Path, level: int = logging.WARNING) -> Iterator[list[Path]]:
    """The same, folder by folder; what is left out is logged at a level."""

    def warn(error: OSError) -> None:
        log.log(level, "%s: cannot be read (%s); skipped", error.filename, error.strerror)

    for parent, folders, files in os.walk(folder, onerror=warn):
        others = OTHER_FOLDERS if DESCRIPTION in files else set()  # of a BIDS data set
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n not in others)
        for name in folders:
            if (link := Path(parent) / name).is_symlink():
                log.log(level, "%s: a link to a folder, not followed; name it instead", link)
        yield [Path(parent) / name for name in sorted(files) if not name.startswith(".")]
