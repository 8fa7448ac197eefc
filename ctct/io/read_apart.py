"""Reading files in another process, under limits on time and memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.io.child_process import ChildError, TimedOutError, call_apart
from ctct.io.dicom.files import DicomFile
from ctct.io.dicom.header import Image, read_headers
from ctct.io.files import MAX_BYTES

log = logging.getLogger(__name__)

#: Longest time to read a scan, in seconds, where the user gives no other.
DEADLINE_S = 120.0
#: Files whose headers are read in one call.
_AT_ONCE = 500

T = TypeVar("T")


def read_apart(
    path: Path,
    function: Callable[..., T],
    *arguments: Any,
    deadline_s: float = DEADLINE_S,
    max_bytes: int = MAX_BYTES,
) -> T:
    """Call a function that reads ``path`` in another process; see :func:`call_apart`.

    Raises:
        InputError: it takes longer than the deadline, or crashes; or the function raises it.
    """
    try:
        return call_apart(function, *arguments, deadline_s=deadline_s, max_bytes=max_bytes)
    except TimedOutError as error:
        raise InputError(
            f"{path}: not read after {deadline_s:g} seconds; damaged, or on a slow disk "
            "(ctct predict --deadline allows more time)"
        ) from error
    except MemoryError as error:
        raise InputError(
            f"{path}: reading it takes more memory than such a scan needs; export it again"
        ) from error
    except ChildError as error:
        raise InputError(
            f"{path}: damaged, cut short or not what it is called; copy or download it again"
        ) from error


def read_headers_apart(
    files: Iterable[DicomFile], deadline_s: float = DEADLINE_S
) -> tuple[list[Image], list[Path]]:
    """The headers of all images in ``files``, and the zips that take too long or crash a process.

    Other files that do are logged and skipped, as those that cannot be read.

    Args:
        files: those of a zip follow one another.
        deadline_s: seconds that a zip, or a file, may take.

    Raises:
        RuntimeUnavailableError: pydicom is not installed.
    """
    images: list[Image] = []
    unread: list[Path] = []
    for archive, group in groupby(files, lambda file: file.path if file.member else None):
        members = list(group)
        if find_spec("pydicom") is None:
            raise RuntimeUnavailableError(
                f"{members[0].path}: reading DICOM needs pydicom; pip install 'ctct[dicom]'"
            )
        if archive is None:
            images += _read_loose_headers(members, _AT_ONCE, deadline_s)
            continue
        try:
            images += read_apart(archive, read_headers, members, deadline_s=deadline_s)
        except InputError as error:
            log.debug("%s", error)
            unread.append(archive)
    return images, unread


def _read_loose_headers(files: Sequence[DicomFile], at_once: int, deadline_s: float) -> list[Image]:
    """The headers of files of their own, some at once, and each alone where that fails."""
    images: list[Image] = []
    for at in range(0, len(files), at_once):
        some = files[at : at + at_once]
        try:
            images += read_apart(some[0].path, read_headers, some, deadline_s=deadline_s)
        except InputError as error:
            if len(some) == 1:
                log.warning("%s; skipped", error)
            else:
                images += _read_loose_headers(some, 1, deadline_s)
    return images
