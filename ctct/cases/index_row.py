"""A scan in the index of a cohort: where it is and what it is called, without its headers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, Self, get_args, get_type_hints


@dataclass(frozen=True)
class IndexRow:
    """A scan in an index. Values that its header does not tell are None.

    Attributes:
        case: name of its results.
        patient: name of the patient in tables.
        number: number of the frame in the name of its file; None for any other scan.
        phase: "ED" or "ES" where the name of the file says so; "" otherwise.
        kind: "dicom", "stack" (a NIfTI file per slice) or "file".
        path: the file; for DICOM the folder or zip, for a stack the folder.
        place: distinguishes the scan from all others; holds no UID in plain text.
        series: a hash of the UIDs of a DICOM series; "" otherwise.
        folders: those, and the zips, that were searched together; one for most studies.
        files: number of files.
        bytes: their size.
        mtime_ns: when the latest of them was written.
        digest: a hash of their names, sizes and times.
        frames: number of frames.
        slices: number of slices.
        rows: pixels per column.
        columns: pixels per row.
        row_mm: distance of rows.
        column_mm: distance of columns.
        slice_mm: distance of slices.
    """

    case: str
    patient: str
    number: int | None
    phase: str
    kind: str
    path: str
    place: str
    series: str
    folders: tuple[str, ...]
    files: int
    bytes: int
    mtime_ns: int
    digest: str
    frames: int | None = None
    slices: int | None = None
    rows: int | None = None
    columns: int | None = None
    row_mm: float | None = None
    column_mm: float | None = None
    slice_mm: float | None = None

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """A row of a file.

        Raises:
            TypeError: it has other columns.
        """
        return cls(**{**content, "folders": tuple(content["folders"])})


def _column_kind(hint: Any) -> str:
    (kind, *_) = [k for k in get_args(hint) or (hint,) if k is not NoneType]
    return {str: "string", int: "int64", float: "double"}.get(kind, "strings")


#: Name of each column of an index, and of its type in Arrow.
COLUMNS = {
    field.name: "strings" if field.name == "folders" else _column_kind(hint)
    for field, hint in ((field, get_type_hints(IndexRow)[field.name]) for field in fields(IndexRow))
}


def digest_files(paths: Iterable[Path]) -> tuple[int, int, int, str]:
    """Number of files, their size, the time of the latest and a hash of names, sizes and times.

    Raises:
        OSError: a file is not there.
    """
    found = sorted((path.name, path.stat()) for path in paths)
    rows = [(name, f.st_size, f.st_mtime_ns) for name, f in found]
    digest = digest_listing(rows)
    sizes = [size for _, size, _ in rows]
    return len(rows), sum(sizes), max((time for *_, time in rows), default=0), digest


def digest_listing(rows: Iterable[tuple[str, int, int]]) -> str:
    """A hash of the names, sizes and times of files."""
    return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()
