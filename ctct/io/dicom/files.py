"""DICOM files, in folders and in zips."""

from __future__ import annotations

import io
import logging
import struct
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Self, cast

from ctct.errors import InputError
from ctct.io.files import ENDINGS, ITK_ENDINGS, MAX_BYTES, open_file

log = logging.getLogger(__name__)

#: Largest unpacked size of a zip; its members are read one at a time.
MAX_ZIP_BYTES = 16 * 2**30
_MAGIC_OFFSET, _MAGIC = 128, b"DICM"
#: Number and length of the first element of a data set without preamble: up to SOPInstanceUID.
_MAX_FIRST_ELEMENT, _MAX_FIRST_LENGTH = 0x18, 1024


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A file, or a member of a zip."""

    path: Path
    member: str = ""

    @property
    def place(self) -> PurePath:
        """The folder that holds it; a zip counts as a folder."""
        return self.path.joinpath(self.member).parent


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
    """Whether a file begins as DICOM does."""
    try:
        with open_file(path) as stream:
            return _begins_as_dicom(stream)
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
    files, others = list_zip(path)
    if not files:
        names = [file.member for file in others]
        if scan := next((n for n in names if n.lower().endswith(ENDINGS + ITK_ENDINGS)), ""):
            raise InputError(f"{path}: holds no DICOM but {scan}; unpack it and give that file")
        raise InputError(f"{path}: holds no DICOM; unpack other files and give the folder")
    return files


def list_zip(path: Path) -> tuple[list[DicomFile], list[DicomFile]]:
    """The DICOM files in a zip, and the other ones, except hidden ones.

    Raises:
        InputError: the zip is damaged or protected by a password, or its unpacked size is too
            large.
    """
    files: list[DicomFile] = []
    others: list[DicomFile] = []
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
                    is_dicom = _begins_as_dicom(cast(BinaryIO, stream))
            except Exception as error:  # damage can make the decompressor raise any exception
                log.warning("%s: a member cannot be unpacked (%s)", path, type(error).__name__)
                is_dicom = False
            (files if is_dicom else others).append(DicomFile(path, member))
    return files, others


def _begins_as_dicom(stream: BinaryIO) -> bool:
    """Whether it begins with preamble and prefix (PS3.10, 7.1), or without them, as old exports do.

    The first element of these is of group 2 or 8, with its VR or a small even length.
    """
    head = stream.read(_MAGIC_OFFSET + len(_MAGIC))
    if head[_MAGIC_OFFSET:] == _MAGIC:
        return True
    if len(head) < _MAGIC_OFFSET:
        return False
    group, element, length = struct.unpack_from("<HHI", head)
    has_vr = head[4:6].isalpha() and head[4:6].isupper()
    is_short = length <= _MAX_FIRST_LENGTH and length % 2 == 0
    return group in (2, 8) and element <= _MAX_FIRST_ELEMENT and (has_vr or is_short)
