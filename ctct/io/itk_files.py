"""MetaImage and NRRD files to :class:`Study`, through SimpleITK."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.io.files import ITK_ENDINGS, MAX_BYTES, open_file
from ctct.io.nifti import oriented, source_of
from ctct.io.study import Study

log = logging.getLogger(__name__)

METAIMAGE, NRRD = ITK_ENDINGS[:2], ITK_ENDINGS[2:]

#: Bytes within which a header ends; most take a kilobyte or two.
_HEADER_BYTES = 2**20
_CHUNK = 2**20
#: Seconds that reading a file may take.
_MAX_S = 300
#: The line of a header that says where the voxels are, and what it says where they follow.
_DATA_FILE = {
    METAIMAGE: re.compile(rb"^ElementDataFile *[=:] *([^\r\n]*?) *\r?\n", re.MULTILINE),
    NRRD: re.compile(rb"^data ?file: *([^\r\n]*?) *\r?$", re.MULTILINE | re.IGNORECASE),
}
_MENTIONED = {METAIMAGE: rb"ElementDataFile", NRRD: rb"(?im)^data ?file"}
_PACKED = re.compile(rb"^CompressedData *[=:] *[Tt1]", re.MULTILINE)
_HERE = (b"LOCAL", b"Local", b"local")


def read_itk(path: str | Path, max_bytes: int = MAX_BYTES) -> Study:
    """Read a ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr`` file of two, three or four dimensions.

    Phases are the fourth dimension, or the values of a vector a voxel ("list" in NRRD). The slice
    axis is found as by :func:`ctct.io.nifti.read_nifti`.

    Args:
        path: the file.
        max_bytes: a file that promises more, as filed or as 32-bit numbers, is refused.

    Raises:
        InputError: the file is missing, damaged or not a scan ctct can use, or its voxels are in a
            file elsewhere.
        RuntimeUnavailableError: SimpleITK is not installed.
    """
    path = Path(path)
    if find_spec("SimpleITK") is None:
        raise RuntimeUnavailableError(
            f"{path}: reading MHA and NRRD needs SimpleITK; pip install 'ctct[itk]'"
        )
    try:
        with open_file(path) as stream:
            head = stream.read(_HEADER_BYTES)
        data, at = _data_of(path, head)
        answer = in_own_process(path, max_bytes)
        begin = answer.index(b"\n") + 1
        header = json.loads(answer[:begin])
        if "refused" in header:
            raise InputError(f"{path}: {header['refused']}")
        array = np.frombuffer(answer, header["dtype"], offset=begin).reshape(header["shape"])
        if path.suffix.lower() in METAIMAGE and _PACKED.search(head):
            _check_packed(data, at, array.nbytes)
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.filename or path} is not there") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (subprocess.SubprocessError, ValueError, KeyError, zlib.error) as error:
        log.debug("%s: %s", path, error)
        raise InputError(
            f"{path}: damaged, cut short or not what it is called; copy or download it again"
        ) from error
    if header["phases"] == 1:
        array = array[..., None] if array.ndim < 4 else np.moveaxis(array, 0, -1)
    array = array[(None,) * (4 - array.ndim)]  # (z, y, x, t)
    zooms = [*header["spacing"][:3], float("nan")][:3]
    voxels = array.transpose(2, 1, 0, 3).astype(np.float32)
    study, _ = oriented(path, voxels, zooms, _affine(header))
    own_zooms = np.nan_to_num((*study.spacing_mm[::-1], study.slice_spacing_mm, 0.0))
    return replace(study, source=source_of(study.affine, study.voxels.shape, tuple(own_zooms)))


def in_own_process(path: Path, limit: int) -> bytes:
    """The answer of :mod:`ctct.io.itk_process`.

    Raises:
        SubprocessError: the process failed, or took more than some minutes.
    """
    command = [sys.executable, "-P", "-m", "ctct.io.itk_process", str(path), str(limit)]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_MAX_S,
        check=True,
    ).stdout


def _data_of(path: Path, head: bytes) -> tuple[Path, int]:
    """The file that holds the voxels, and where they begin: in the file itself or right beside it.

    SimpleITK would read whatever file the header names, a device too, or a list of files.
    """
    kind = METAIMAGE if path.suffix.lower() in METAIMAGE else NRRD
    mentions = len(re.findall(_MENTIONED[kind], head))
    named = _DATA_FILE[kind].search(head)
    whole = len(head) < _HEADER_BYTES or re.search(rb"\n\r?\n", head)
    if mentions == 0 and kind == NRRD and whole:
        return path, 0
    if mentions != 1 or named is None:
        raise InputError(f"{path}: does not say once where its voxels are; write it again")
    if kind == METAIMAGE and named[1] in _HERE:
        return path, named.end()
    name = named[1].decode(errors="replace")
    if not re.fullmatch(r"\w[\w.+ -]*", name) or name.split()[0] in ("LIST", "SKIPLIST"):
        raise InputError(
            f"{path}: its voxels are in {name!r}; they must be in one file in the same folder"
        )
    beside = path.with_name(name)
    open_file(beside).close()  # not a pipe or a device
    return beside, 0


def _check_packed(data: Path, at: int, promised: int) -> None:
    """Refuse a compressed MetaImage that unpacks to less than its header promises, in bytes.

    SimpleITK would take what the memory holds for the rest.
    """
    unpacking, unpacked = zlib.decompressobj(32 + zlib.MAX_WBITS), 0  # zlib or gzip
    with open_file(data) as stream:
        stream.seek(at)
        while unpacked < promised and (packed := unpacking.unconsumed_tail or stream.read(_CHUNK)):
            unpacked += len(unpacking.decompress(packed, _CHUNK))
            if unpacking.eof:
                break
    if unpacked < promised:
        raise ValueError(f"unpacks to {unpacked} bytes, the header promises {promised}")


def _affine(header: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Voxel index to millimetres (RAS+). ITK's axes are LPS but for NRRD of four dimensions."""
    space, dimensions = header["space"], len(header["spacing"])
    to_ras = np.diag([1.0 if w in space else -1.0 for w in ("right", "anterior")] + [1.0, 1.0])
    axes = np.eye(4)
    axes[:dimensions, :dimensions] = np.reshape(header["direction"], (dimensions, dimensions))
    affine = np.eye(4)
    n = min(dimensions, 3)
    affine[:3, :n] = axes[:3, :n] * header["spacing"][:n]
    affine[:n, 3] = header["origin"][:n]
    return to_ras @ affine
