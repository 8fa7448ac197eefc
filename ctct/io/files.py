"""Opening files, and what their names say of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ctct.errors import InputError

ENDINGS = (".nii.gz", ".nii")
#: Of scans that :mod:`ctct.io.itk_files` reads.
ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
#: A scan larger than this, as filed or as 32-bit numbers, is refused before it is unpacked: both
#: are held at once. A cine of 512 × 512 pixels may have 16 slices and 48 frames.
MAX_BYTES = 768 * 2**20
GZIP_MAGIC = b"\x1f\x8b"
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # not on Windows, which has no pipes among files


def case_name(path: Path) -> str:
    """File name without the ending of a scan, as ``.nii.gz`` or ``.mha``."""
    for ending in ENDINGS + ITK_ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def open_file(path: Path) -> BinaryIO:
    """A file and nothing else: who opens a pipe may wait forever for someone to write into it.

    Raises:
        InputError: it is a pipe, a device or the like.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InputError(f"{path}: a pipe, device or the like; give a file")
    return file
