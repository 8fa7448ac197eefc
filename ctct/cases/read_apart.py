"""Reading files in another process, under limits on time and memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from ctct.child_process import ChildError, TimedOutError, call_apart
from ctct.errors import InputError, RuntimeUnavailableError
from ctct.installation import how_to_install
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
) -> tuple[list[Image], list[DicomFile], list[Path]]:
    """The headers of all images in ``files``; which cannot be read, or not under the limits.

    Args:
        files: those of a zip follow one another.
        deadline_s: seconds that a zip, or another file, may take.

    Returns:
        The images; the files that cannot be read; and the zips and other files that take too long
        or crash a process.

    Raises:
        RuntimeUnavailableError: pydicom is not installed.
    """
    images: list[Image] = []
    damaged: list[DicomFile] = []
    unread: list[Path] = []
    for archive, group in groupby(files, lambda file: file.path if file.member else None):
        members = list(group)
        if find_spec("pydicom") is None:
            raise RuntimeUnavailableError(
                f"{members[0].path}: reading DICOM needs pydicom; {how_to_install('dicom')}"
            )
        at_once = len(members) if archive else _AT_ONCE
        parts = [members[at : at + at_once] for at in range(0, len(members), at_once)]
        while parts:
            part = parts.pop(0)
            try:
                found = read_apart(part[0].path, read_headers, part, deadline_s=deadline_s)
            except InputError as error:
                log.debug("%s", error)
                if archive or len(part) == 1:
                    unread.append(part[0].path)
                else:  # one of them is to blame
                    parts = [[file] for file in part] + parts
            else:
                images += found[0]
                damaged += found[1]
    return images, damaged, unread
