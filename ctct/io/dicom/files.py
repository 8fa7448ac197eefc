"""DICOM files, in folders and in zips."""

from __future__ import annotations

import io
import logging
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, cast

from ctct.errors import InputError
from ctct.io.files import MAX_BYTES, open_file

log = logging.getLogger(__name__)

#: Largest unpacked size of a zip; its members are read one at a time.
MAX_ZIP_BYTES = 16 * 2**30
_MAGIC_OFFSET, _MAGIC = 128, b"DICM"


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A file, or a member of a zip."""

    path: Path
    member: str = ""


class Opener:
    """Opens files and members of zips. As a context manager it closes all of them at its end."""

    def __init__(self) -> None:
        self._zips: dict[Path, zipfile.ZipFile] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __call__(self, file: DicomFile) -> BinaryIO:
        """Open a file, or unpack a member of a zip in memory.

        Raises:
            ValueError: the content is larger than :data:`MAX_BYTES`.
        """
        if file.member:
            size = self.archive(file.path).getinfo(file.member).file_size
        else:
            size = file.path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"{size / 2**30:.2f} GiB, the limit is {MAX_BYTES / 2**30:g} GiB")
        if file.member:
            return io.BytesIO(self.archive(file.path).read(file.member))
        return open_file(file.path)

    def archive(self, path: Path) -> zipfile.ZipFile:
        """Open a zip, once for all its members.

        Raises:
            InputError: the zip is damaged, or its unpacked size is too large.
        """
        if path not in self._zips:
            try:
                stream = self._open.enter_context(open_file(path))
                archive = self._open.enter_context(zipfile.ZipFile(stream))
            except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
                raise InputError(
                    f"{path}: not a usable zip ({error}); download it again"
                ) from error
            size = sum(member.file_size for member in archive.infolist())
            if size > MAX_ZIP_BYTES:
                raise InputError(
                    f"{path}: unpacks to {size / 2**30:.0f} GiB, the limit is "
                    f"{MAX_ZIP_BYTES / 2**30:g} GiB; unpack it yourself and give the folder"
                )
            self._zips[path] = archive
        return self._zips[path]


def is_dicom(path: Path) -> bool:
    """Whether a file begins with the preamble and the prefix of DICOM (PS3.10, 7.1)."""
    try:
        with open_file(path) as stream:
            return _has_magic(stream)
    except (OSError, InputError):
        return False


def is_zip(path: Path) -> bool:
    """Whether the name of a file ends in ``.zip``."""
    return path.suffix.lower() == ".zip"


def zip_members(path: Path) -> list[DicomFile]:
    """The DICOM files in a zip, except hidden ones.

    Raises:
        InputError: the zip is damaged or protected by a password, its unpacked size is too large,
            or it holds no DICOM.
    """
    files = []
    with Opener() as opener:
        archive = opener.archive(path)
        for member in sorted(set(archive.namelist())):
            parts = [part.strip(".") for part in member.split("/")]
            hidden = any(f"/.{part}" in f"/{member}" for part in parts if part)
            if member.endswith("/") or hidden or "__MACOSX" in parts:
                continue
            if archive.getinfo(member).flag_bits & 1:
                raise InputError(f"{path}: protected by a password; unpack it and give the folder")
            try:
                with archive.open(member) as stream:
                    if _has_magic(cast(BinaryIO, stream)):
                        files.append(DicomFile(path, member))
            except Exception as error:  # damage can make the decompressor raise any exception
                log.warning("%s: a member cannot be unpacked (%s)", path, type(error).__name__)
    if not files:
        raise InputError(f"{path}: holds no DICOM; unpack other files and give the folder")
    return files


def _has_magic(stream: BinaryIO) -> bool:
    return stream.read(_MAGIC_OFFSET + len(_MAGIC))[_MAGIC_OFFSET:] == _MAGIC
