"""Scans in object storage: listed by their names, and read from a copy when their turn comes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

from ctct.cases.bids import OTHER_FOLDERS, is_of_another_kind
from ctct.cases.case import Case
from ctct.cases.case_names import name_case
from ctct.cases.discover import (
    check_found,
    choose_cines,
    is_label_map,
    sort_files,
    walk,
)
from ctct.cases.fetched import MAX_GB, Cache, is_remote
from ctct.cases.index_row import IndexRow, digest_listing
from ctct.choices import NameFrom
from ctct.errors import ConfigError, InputError
from ctct.io.files import ENDINGS, ITK_ENDINGS
from ctct.io.remote import RemoteFile, find_file, list_all, list_below, url_below

log = logging.getLogger(__name__)

_SCANS = ENDINGS + ITK_ENDINGS
#: Endings of files that are no DICOM.
_OTHERS = re.compile(
    r"\.(json|jsonl|[ct]sv|txt|md|cfg|xml|html?|pdf|png|jpe?g|gif|bvals?|bvecs?|py|sh|parquet|gz)$",
    re.IGNORECASE,
)
_cache: Cache | None = None
_lock = Lock()


def list_cases(urls: Sequence[str], name_from: NameFrom = "path") -> Iterator[Case]:
    """The scans at some URLs, folder by folder; nothing of them is read.

    A NIfTI, MHA or NRRD file is a scan. All DICOM below a folder that lies directly in the URL is
    one study, as is a zip.

    Args:
        urls: of files or folders.
        name_from: "path" or "file".

    Raises:
        InputError: a URL does not exist or cannot be read, or there is no scan.
        ConfigError: names are to come from DICOM headers.
        RuntimeUnavailableError: a package is not installed.
    """
    if name_from not in ("path", "file"):
        raise ConfigError(f"--name-from {name_from}: is for scans on a disk; use path or file")
    count = 0
    for url in urls:
        for row in _list_rows(url, name_from):
            count += 1
            yield Case(
                Path(row.path), row.case, patient=row.patient, number=row.number, phase=row.phase,
                row=row,
            )  # fmt: skip
    if not count:
        raise InputError(f"{', '.join(urls)}: no scan found; expected {', '.join(_SCANS)} or DICOM")


def _list_rows(url: str, name_from: NameFrom) -> Iterator[IndexRow]:
    files, folders = list_below(url)
    loose = [file for file in files if _is_dicom(file)]
    rows = [_row(url, [file], name_from) for file in files if _is_scan(file) or _is_zip(file)]
    if loose:
        single = len(files) == 1 and not files[0].below
        rows.append(_row(url, loose, name_from, "", () if single else (url,)))
    yield from rows
    for folder in folders:
        if folder.rpartition("/")[2].startswith(".") or folder in OTHER_FOLDERS:
            continue
        found = list_all(url_below(url, f"{folder}/"))
        found = [replace(file, below=f"{folder}/{file.below}") for file in found]
        found = [f for f in found if not any(p.startswith(".") for p in f.below.split("/"))]
        for file in found:
            if _is_scan(file) or _is_zip(file):
                yield _row(url, [file], name_from)
        if dicom := [file for file in found if _is_dicom(file)]:
            yield _row(url, dicom, name_from, f"{folder}/")


def _is_scan(file: RemoteFile) -> bool:
    path = Path("/", file.path)
    is_one = file.name.lower().endswith(_SCANS)
    return is_one and (not file.below or not (is_label_map(path) or is_of_another_kind(path)))


def _is_zip(file: RemoteFile) -> bool:
    return file.name.lower().endswith(".zip")


def _is_dicom(file: RemoteFile) -> bool:
    is_hidden = file.name.startswith(".")
    is_other = file.name.lower().endswith(_SCANS) or _OTHERS.search(file.name)
    return bool(file.bytes) and not (is_hidden or is_other or _is_zip(file))


def _row(
    url: str,
    files: Sequence[RemoteFile],
    name_from: NameFrom,
    folder: str | None = None,
    folders: tuple[str, ...] = (),
) -> IndexRow:
    """The row of a scan in one file, or of the DICOM files in a folder."""
    below = files[0].below if folder is None else folder
    place = url_below(url, below)
    head = re.sub(r"^[^:]+://", "", url.partition("::")[0]).strip("/")
    root = Path("/", head)
    label = root / re.sub(r"\.zip$", "", below, flags=re.IGNORECASE)
    inputs = [root] if below else []
    named = name_case(Case(label, ""), label, inputs, name_from)
    size, mtime_ns = sum(f.bytes for f in files), max(f.mtime_ns for f in files)
    is_file = files[0].name.lower().endswith(_SCANS)
    return IndexRow(
        case=named.name,
        patient=named.patient or named.name,
        number=named.number,
        phase=named.phase,
        kind="file" if is_file else "dicom",
        path=place,
        place=place,
        series="",
        folders=folders,
        files=len(files),
        bytes=size,
        mtime_ns=mtime_ns,
        digest=_digest(files),
    )


def _digest(files: Iterable[RemoteFile]) -> str:
    return digest_listing((file.name, file.bytes, file.mtime_ns) for file in files)


def list_files(row: IndexRow) -> list[RemoteFile]:
    """The files of a scan, as they are now."""
    if row.folders:
        return [file for file in list_below(row.path)[0] if _is_dicom(file)]
    if row.kind == "file":
        return [find_file(row.path)]
    found = list_all(row.path)
    return [file for file in found if not file.below or _is_dicom(file)]


def cache() -> Cache:
    """The copies of this process."""
    global _cache
    with _lock:
        if _cache is None:
            _cache = Cache(list_files, MAX_GB)
        return _cache


def limit_cache(max_gb: float) -> None:
    """Set the size up to which scans are fetched ahead.

    Raises:
        ConfigError: it is not more than 0.
    """
    if not max_gb > 0:
        raise ConfigError(f"--cache-gb {max_gb:g}: give a size in GB, more than 0")
    cache().max_bytes = int(max_gb * 1e9)


def load_remote(case: Case, deadline_s: float) -> Case:
    """A case on the disk, with its headers.

    Raises:
        InputError: it cannot be fetched, has changed, or is no single scan.
    """
    row = case.row
    assert row
    copy = cache().fetch(row)
    here = replace(case, row=None, path=copy, origin=row)
    if row.kind == "file":
        return here
    scans = sort_files([], [copy] if copy.is_file() else list(walk(copy)), deadline_s)
    cines = choose_cines(scans)
    if not cines:
        check_found([row.path], replace(scans, files=[], stacks=[]), [])
    if len(cines) > 1:
        raise InputError(
            f"{row.path}: holds {len(cines)} short-axis cines; give the folder above its studies, "
            "or copy it to a disk"
        )
    return replace(here, path=cines[0].path, series=cines[0])


def discard(case: Case) -> None:
    """Remove the copy of a case, where it has one."""
    row = case.origin or (case.row if is_remote(case) else None)
    if row and _cache:
        _cache.discard(row)
