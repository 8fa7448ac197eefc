"""Opening files, and the endings of their names."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ctct.errors import InputError

ENDINGS = (".nii.gz", ".nii")
#: Endings of the scans that :mod:`ctct.io.itk_files` reads.
ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
#: Largest size of a scan, as stored and as 32-bit numbers; larger ones are refused before they are
#: unpacked, because both forms are in memory at once. It allows a cine of 512 × 512 pixels, 16
#: slices and 48 frames.
MAX_BYTES = 768 * 2**20
GZIP_MAGIC = b"\x1f\x8b"
_NONBLOCKING = getattr(os, "O_NONBLOCK", 0)  # Windows has none, and no pipes in its file system


def case_name(path: Path) -> str:
    """File name without the ending of a scan, such as ``.nii.gz`` or ``.mha``."""
    for ending in ENDINGS + ITK_ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def open_file(path: Path) -> BinaryIO:
    """Open a regular file: opening a pipe could block until another program writes into it.

    Raises:
        InputError: ``path`` is a pipe, a device or another special file.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCKING))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InputError(f"{path}: a pipe or device; give a regular file")
    return file
