"""Finding the scans of a cohort study by study, so that the first is segmented at once.

A small input is searched as a whole, by :func:`ctct.cases.discover.discover`. A large one is taken
folder by folder: those that hold images of one study, as the first and last image of each tell,
are searched together. What was found is written down, so that a restart reads no header again.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pydantic_core import from_json

from ctct.cases.case import Case
from ctct.cases.case_names import make_valid
from ctct.cases.discover import (
    ScanList,
    check_found,
    choose_cines,
    discover,
    find_roots,
    name_scans,
    sort_files,
    unknown_series,
    walk_folders,
    warn_of_studies_without_cine,
    without_dicomdir,
)
from ctct.cases.fetched import is_remote
from ctct.cases.frames import join_frames
from ctct.cases.index_row import IndexRow, digest_files
from ctct.cases.inputs_without_scan import InputsWithoutScan
from ctct.cases.read_apart import DEADLINE_S, read_headers_apart
from ctct.cases.remote import list_cases, load_remote
from ctct.choices import NameFrom
from ctct.errors import ConfigError, InputError, RuntimeUnavailableError
from ctct.io.dicom.files import DicomFile, is_dicom, is_zip
from ctct.io.dicom.series import study_key
from ctct.io.files import ENDINGS, ITK_ENDINGS
from ctct.io.nifti import read_geometry
from ctct.io.remote import is_url
from ctct.storage import write_atomic

log = logging.getLogger(__name__)

#: Name of the file in the folder of results in which a search is written down.
JOURNAL = "survey.jsonl"
#: An input with more files is not searched as a whole.
MAX_AT_ONCE = 2000
#: Folders among which those of one study are looked for.
WINDOW = 256


@dataclass(frozen=True)
class Request:
    """What is searched for, and where.

    Attributes:
        inputs: files and folders.
        uids: SeriesInstanceUIDs to take in place of what looks like a short-axis cine.
        name_from: what a case is called after.
        deadline_s: seconds that the headers of a DICOM file or zip may take.
        urls: of object storage, in place of ``inputs``.
    """

    inputs: tuple[Path, ...]
    uids: tuple[str, ...] = ()
    name_from: NameFrom = "path"
    deadline_s: float = DEADLINE_S
    urls: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        inputs: Sequence[str | Path],
        uids: tuple[str, ...] = (),
        name_from: NameFrom = "path",
        deadline_s: float = DEADLINE_S,
    ) -> Self:
        """A request for what a user named: paths or URLs.

        Raises:
            ConfigError: both are named, or series of DICOM at URLs.
        """
        urls = tuple(str(place) for place in inputs if is_url(place))
        if not urls:
            return cls(tuple(map(Path, inputs)), uids, name_from, deadline_s)
        if len(urls) < len(inputs):
            raise ConfigError(f"{urls[0]}: give URLs or paths, not both; a run for each")
        if uids:
            raise ConfigError(f"--series {uids[0]}: is for scans on a disk; copy the study")
        return cls((), (), name_from, deadline_s, urls)

    @cached_property
    def roots(self) -> list[Path]:
        """The files and folders that cases are named below, absolute; none of URLs."""
        return find_roots(self.inputs)

    def check_inputs(self) -> None:
        """Check that all inputs are there.

        Raises:
            InputError: one is not.
        """
        for path in self.inputs:
            if not path.exists() and not path.is_symlink():
                raise InputError(f"{path}: no such file or folder")

    @property
    def key(self) -> dict[str, Any]:
        """All on which what is found depends, for JSON."""
        roots = [*map(str, self.roots), *self.urls]
        uids, rule = list(self.uids), self.name_from
        return {"ctct": version("ctct"), "roots": roots, "series": uids, "name_from": rule}


@dataclass
class _Folder:
    """A folder whose files are searched together, or a zip.

    Attributes:
        path: the folder or zip.
        files: its files.
        deadline_s: seconds that reading a header may take.
    """

    path: Path
    files: list[Path]
    deadline_s: float

    @cached_property
    def studies(self) -> set[object]:
        """The studies of the first and the last DICOM image; empty without any."""
        if is_zip(self.path):
            return set()
        others = [p for p in self.files if not p.name.lower().endswith(ENDINGS + ITK_ENDINGS)]
        ends = (next(filter(is_dicom, paths), None) for paths in (others, reversed(others)))
        files = [DicomFile(path) for path in dict.fromkeys(filter(None, ends))]
        try:
            images, _, _ = read_headers_apart(files, self.deadline_s)
        except RuntimeUnavailableError:  # said where they are searched
            return set()
        return set(map(study_key, images))

    @property
    def is_disc(self) -> bool:
        """Whether a list of DICOM files tells what lies in the folders below."""
        return any(path.name.upper() == "DICOMDIR" for path in self.files)


def _split_folder(files: Sequence[Path], deadline_s: float) -> Iterator[_Folder]:
    """A folder without its zips, and each of these: a zip holds whole studies."""
    others = [path for path in files if not is_zip(path)]
    if others:
        yield _Folder(others[0].parent, others, deadline_s)
    for path in files:
        if is_zip(path):
            yield _Folder(path, [path], deadline_s)


def take_group(ahead: deque[_Folder]) -> list[_Folder]:
    """Take the first folder, and those that are searched with it, out of the next ones.

    They hold images of the same study, or lie below what these have in common: a study is named
    after that folder.
    """
    first = ahead.popleft()
    group, root = [first], os.path.abspath(first.path) if first.is_disc else ""
    while True:
        studies = set().union(*(folder.studies for folder in group))
        added = [f for f in ahead if _is_part(f, studies, root)] if studies or root else []
        if not added:
            return group
        for folder in added:
            ahead.remove(folder)
        group += added
        root = os.path.commonpath([os.path.abspath(folder.path) for folder in group])


def _is_part(folder: _Folder, studies: set[object], root: str) -> bool:
    if root and not is_zip(folder.path):
        path = os.path.abspath(folder.path)
        if path == root or path.startswith(root.rstrip(os.sep) + os.sep):
            return True
    return not studies.isdisjoint(folder.studies)


def find_cases(
    request: Request, journal: Path | None = None, at_once: bool = False
) -> tuple[list[Case] | Iterator[Case], list[Path]]:
    """The cases to segment: all of a small input, or one after the other of a large one.

    Args:
        request: where to look, and for what.
        journal: file in which what was found in a large input is written down.
        at_once: take any input for a small one.

    Returns:
        The cases, and the label maps that were skipped in a small input.

    Raises:
        InputError: an input does not exist, or a small one holds no scan; see
            :func:`ctct.cases.discover.discover`.
    """
    if not request.urls and (at_once or _is_small(request)):
        return discover(
            request.inputs, request.uids, request.name_from, deadline_s=request.deadline_s
        )
    if not request.urls:
        log.info("more than %d files: scans are segmented while others are looked for", MAX_AT_ONCE)
    return stream_cases(request, journal), []


def _is_small(request: Request) -> bool:
    """Whether there are few files, or inputs that lie in one another."""
    request.check_inputs()
    roots = request.roots
    is_nested = any(a.is_relative_to(b) for a in roots for b in roots if a is not b)
    return is_nested or next(islice(_walk(request), MAX_AT_ONCE, None), None) is None


def _walk(request: Request) -> Iterator[Path]:
    for folder in _folders(request, logging.DEBUG):  # the search itself tells what it leaves out
        yield from folder.files


def _folders(request: Request, level: int = logging.WARNING) -> Iterator[_Folder]:
    """All folders and zips of a request; files that were named come first."""
    inputs = [without_dicomdir(path) for path in request.inputs]
    by_parent: dict[Path, list[Path]] = {}
    for path in inputs:
        if not path.is_dir():
            by_parent.setdefault(path.parent, []).append(path)
    for files in by_parent.values():
        yield from _split_folder(files, request.deadline_s)
    for path in inputs:
        if path.is_dir():
            for files in walk_folders(path, level):
                yield from _split_folder(files, request.deadline_s)


def stream_cases(request: Request, journal: Path | None = None) -> Iterator[Case]:
    """The cases of a large input, one after the other.

    Those that the journal tells of have no headers; see :func:`load_case`.

    Raises:
        InputError: there is no scan.
    """
    for case, _ in stream_found(request, journal):
        yield case


def stream_found(
    request: Request, journal: Path | None = None
) -> Iterator[tuple[Case, Sequence[Path]]]:
    """The same, each with the folders and zips that were searched together to find it."""
    if request.urls:
        named = _Survey(request, _Journal(None, request))
        for case in named.name(list_cases(request.urls, request.name_from)):
            yield case, ()
        return
    survey = _Survey(request, _Journal(journal, request))
    ahead: deque[_Folder] = deque()
    with survey.journal:
        for folder in _folders(request):
            if survey.journal.has_taken(folder):
                continue
            if (rows := survey.journal.find(folder)) is not None:
                for case in survey.name(case_of(row) for row in rows):
                    yield case, ()
                continue
            ahead.append(folder)
            if len(ahead) >= WINDOW:
                yield from survey.search(take_group(ahead))
        while ahead:
            yield from survey.search(take_group(ahead))
    survey.end()


@dataclass
class _Survey:
    """A search that goes on, and what it must remember of all of its parts."""

    request: Request
    journal: _Journal
    places: dict[str, str] = field(default_factory=dict)  # by name
    told: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)
    label_maps: int = 0
    without_scan: InputsWithoutScan = field(init=False)
    missing: RuntimeUnavailableError | None = None

    def __post_init__(self) -> None:
        self.without_scan = InputsWithoutScan(self.request.inputs)

    def search(self, group: Sequence[_Folder]) -> Iterator[tuple[Case, Sequence[Path]]]:
        request = self.request
        paths = [path for folder in group for path in folder.files]
        named = [path for path in paths if path in request.inputs]
        found = [path for path in paths if path not in request.inputs] if named else paths
        try:
            scans = sort_files(named, found, request.deadline_s)
        except RuntimeUnavailableError as error:
            self.missing = error
            self._tell_once(str(error))
            return
        self.label_maps += len(scans.label_maps)
        self.without_scan.see(scans.places)
        self.uids |= {uid for series in scans.series for uid in series.uids}
        for kind in scans.other_formats:
            self._tell_once(kind)
        cines = choose_cines(scans, request.uids)
        if not request.uids:
            warn_of_studies_without_cine(scans.series, cines)
        cases = join_frames(name_scans(scans, cines, request.roots, request.name_from))
        cases = list(self.name(cases))
        folders = [folder.path for folder in group]
        self.journal.add(group, cases)
        for case in cases:
            yield case, folders

    def name(self, cases: Iterable[Case]) -> Iterator[Case]:
        """The cases; one with the name of another scan gets a longer one."""
        for case in cases:
            self.without_scan.see([case.path])
            key = case.name.casefold()
            if self.places.get(key) == case.identity:  # a file in two inputs
                continue
            place = self.places.setdefault(key, case.identity)
            if place != case.identity:
                ending = sha256(case.identity.encode()).hexdigest()[:12]
                name = make_valid(f"{case.name}_{ending}")
                both = (place, case.identity, case.name, name)
                log.warning("%s and %s: both called %s; the latter is called %s", *both)
                patient = name if case.patient == case.name else case.patient
                case = replace(case, name=name, patient=patient)
                self.places[name.casefold()] = case.identity
            yield case

    def _tell_once(self, kind: str) -> None:
        """Name one file of each kind that is skipped: there may be thousands."""
        what = kind.rpartition(": ")[2]
        if what not in self.told:
            self.told.add(what)
            log.warning("%s; skipped, like all others of this kind", kind)

    def end(self) -> None:
        if self.label_maps:
            log.info("label maps left out (*_gt, *_seg, *_label, *_mask): %d", self.label_maps)
        if not self.places:
            if self.missing:
                raise self.missing
            check_found(self.request.inputs, ScanList([], [], [], [], [], []), [])
        self.without_scan.warn()
        for uid in sorted(set(self.request.uids) - self.uids) if not self.journal.was_used else ():
            log.warning("%s", unknown_series(uid))


class _Journal:
    """What was found in which folders, a line of JSON for each group of them.

    Lines are only added, so a run that is killed loses the last one at most.

    Args:
        path: the file; None to write nothing down.
        request: what was searched for; the journal of another request is not used.
    """

    def __init__(self, path: Path | None, request: Request) -> None:
        self._path, self._request = path, request
        self._lines: dict[str, bytes] = {}  # by the first folder
        self._taken: set[str] = set()
        self.was_used = False

    def __enter__(self) -> Self:
        if self._path is None:
            return self
        try:
            head, *lines = self._path.read_bytes().splitlines()
            if json.loads(head) != self._request.key:
                raise ValueError("of another request")
            for line in lines:
                with suppress(ValueError, KeyError, TypeError, StopIteration):
                    self._lines[next(iter(from_json(line)["folders"]))] = line
        except (OSError, ValueError):
            self._lines = {}
        kept = b"".join(line + b"\n" for line in self._lines.values())
        write_atomic(self._path, json.dumps(self._request.key).encode() + b"\n" + kept)
        self._file = self._path.open("ab")
        return self

    def __exit__(self, *_: object) -> None:
        if self._path:
            self._file.close()

    def has_taken(self, folder: _Folder) -> bool:
        """Whether a folder belongs to a group that was found in the journal."""
        return str(folder.path) in self._taken

    def find(self, folder: _Folder) -> list[IndexRow] | None:
        """What a group that begins with this folder holds; None where that is not known.

        Nothing is known where a file of it was written, added or removed since.
        """
        line = self._lines.pop(str(folder.path), None)
        if line is None:
            return None
        content = from_json(line)
        try:
            for path, digest in content["folders"].items():
                files = folder.files if path == str(folder.path) else list_folder(Path(path))
                if digest_files(files)[-1] != digest:
                    return None
            rows = [IndexRow.from_dict(row) for row in content["rows"]]
        except (OSError, KeyError, TypeError):
            return None
        self._taken |= set(content["folders"]) - {str(folder.path)}
        self.was_used = True
        return rows

    def add(self, group: Sequence[_Folder], cases: Sequence[Case]) -> None:
        """Write down what a group of folders holds."""
        if self._path is None:
            return
        folders = [folder.path for folder in group]
        try:
            digests = {str(f.path): digest_files(f.files)[-1] for f in group}
            rows = [asdict(make_row(case, folders)) for case in cases]
        except OSError as error:  # a file is gone meanwhile: searched again by the next run
            log.debug("%s: %s", group[0].path, error)
            return
        line = json.dumps({"folders": digests, "rows": rows}, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")
        self._file.flush()


def list_folder(path: Path) -> list[Path]:
    """The files in a folder as a search finds them, without zips; a zip itself."""
    if is_zip(path):
        return [path]
    found = sorted(p for p in path.iterdir() if not p.name.startswith(".") and not p.is_dir())
    return [p for p in found if not is_zip(p)]


def make_row(case: Case, folders: Sequence[Path]) -> IndexRow:
    """What an index tells of a case.

    Args:
        case: with its headers, or from an index itself.
        folders: that were searched together.

    Raises:
        OSError: a file of it is gone.
    """
    if case.row:
        return replace(case.row, case=case.name, patient=case.patient)
    files, size, mtime_ns, digest = digest_files(case.files)
    return IndexRow(
        case=case.name,
        patient=case.patient,
        number=case.number,
        phase=case.phase,
        kind="dicom" if case.series else "stack" if case.slices else "file",
        path=os.path.abspath(case.path),
        place=case.identity,
        series=case.series.digest if case.series else "",
        folders=tuple(map(os.path.abspath, folders)),
        files=files,
        bytes=size,
        mtime_ns=mtime_ns,
        digest=digest,
        **_geometry(case),
    )


def _geometry(case: Case) -> dict[str, Any]:
    """Size and spacing as far as the headers tell."""
    if case.series:
        series = case.series
        values: dict[str, Any] = {"frames": series.phases, "slices": len(series.slices)}
        values["rows"], values["columns"] = series.first.shape
        if series.first.spacing_mm:
            values["row_mm"], values["column_mm"] = map(float, series.first.spacing_mm)
        if len(mm := series.positions_mm) > 1:
            values["slice_mm"] = round((mm[-1] - mm[0]) / (len(mm) - 1), 4)
        return values
    path = case.slices[0] if case.slices else case.path
    geometry = read_geometry(path) if path.name.lower().endswith(ENDINGS) else None
    if geometry is None:
        return {}
    columns, rows, slices, frames, *_ = (*geometry.shape, 1, 1, 1, 1)
    column_mm, row_mm, slice_mm = map(float, geometry.voxel_mm)
    return {
        "frames": frames,
        "slices": len(case.slices) or slices,
        "rows": rows,
        "columns": columns,
        "row_mm": row_mm,
        "column_mm": column_mm,
        "slice_mm": None if case.slices else slice_mm,
    }


def case_of(row: IndexRow) -> Case:
    """The case of a row, without its headers."""
    return Case(
        Path(row.path), row.case, patient=row.patient, number=row.number, phase=row.phase, row=row
    )


def load_case(case: Case, deadline_s: float = DEADLINE_S) -> Case:
    """A case from an index with its headers, which are read now.

    Raises:
        InputError: its files have changed since.
    """
    row = case.row
    if row is None:
        return case
    if is_remote(case):
        return load_remote(case, deadline_s)
    try:
        loaded = _load(case, row, deadline_s)
        if loaded and digest_files(loaded.files)[-1] == row.digest:
            return loaded
    except OSError as error:
        log.debug("%s: %s", case.path, error)
        if not case.path.exists():
            raise InputError(f"{case.path}: no such file or folder") from error
    raise InputError(
        f"{case.path}: its files have changed since the index was made; run ctct index again"
    )


def _load(case: Case, row: IndexRow, deadline_s: float) -> Case | None:
    if row.kind == "file":
        return replace(case, row=None)
    files = [path for folder in row.folders for path in list_folder(Path(folder))]
    scans = sort_files([], files, deadline_s)
    if row.kind == "stack":
        stacks = [replace(case, row=None, slices=stack) for stack in scans.stacks]
        return next((c for c in stacks if c.identity == row.place), None)
    chosen = {cine.digest: cine for cine in choose_cines(scans)}
    for series in scans.series:
        if series.digest == row.series and series.digest not in chosen:
            chosen |= {cine.digest: cine for cine in choose_cines(scans, series.uids)}
    cine = chosen.get(row.series)
    return replace(case, row=None, path=cine.path, series=cine) if cine else None
