"""MetaImage and NRRD files, read as :class:`Study` by SimpleITK."""

from __future__ import annotations

import logging
import re
import zlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.io.files import ITK_ENDINGS, MAX_BYTES, open_file
from ctct.io.itk_voxels import read
from ctct.io.nifti import make_label_encoder, study_from_array
from ctct.io.study import Study

log = logging.getLogger(__name__)

METAIMAGE, NRRD = ITK_ENDINGS[:2], ITK_ENDINGS[2:]

#: Largest size of a header; most have one or two kilobytes.
_HEADER_BYTES = 2**20
_CHUNK = 2**20
#: The line of a header that names the file of the voxels.
_DATA_FILE = {
    METAIMAGE: re.compile(rb"^ElementDataFile *[=:] *([^\r\n]*?) *\r?\n", re.MULTILINE),
    NRRD: re.compile(rb"^data ?file: *([^\r\n]*?) *\r?$", re.MULTILINE | re.IGNORECASE),
}
_MENTIONED = {METAIMAGE: rb"ElementDataFile", NRRD: rb"(?im)^data ?file"}
_COMPRESSED = re.compile(rb"^CompressedData *[=:] *[Tt1]", re.MULTILINE)
#: Names that stand for the file of the header itself.
_SAME_FILE = (b"LOCAL", b"Local", b"local")


def read_itk(path: str | Path, max_bytes: int = MAX_BYTES) -> Study:
    """Read a ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr`` file of two, three or four dimensions.

    Phases are the fourth dimension, or the components of each voxel ("list" in NRRD). The slice
    axis is found as in :func:`ctct.io.nifti.read_nifti`. A damaged header can crash the process:
    use :func:`ctct.cases.read.read_case`, which calls this in another one.

    Args:
        path: the file.
        max_bytes: a larger scan, as stored or as 32-bit numbers, is refused.

    Raises:
        InputError: the file is missing, damaged or not a scan that ctct can use, or its voxels are
            in a file in another folder.
        RuntimeUnavailableError: SimpleITK is not installed.
    """
    path = Path(path)
    if find_spec("SimpleITK") is None:
        raise RuntimeUnavailableError(
            f"{path}: reading MHA and NRRD needs SimpleITK; {how_to_install('itk')}"
        )
    try:
        with open_file(path) as stream:
            head = stream.read(_HEADER_BYTES)
        data_path, offset = _locate_voxels(path, head)
        header, array = read(path, max_bytes)
        if path.suffix.lower() in METAIMAGE and _COMPRESSED.search(head):
            _check_compressed(data_path, offset, array.nbytes)
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.filename or path} is not there") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (RuntimeError, ValueError, KeyError, zlib.error) as error:
        log.debug("%s: %s", path, error)
        raise InputError(
            f"{path}: damaged, cut short or not what it is called; copy or download it again"
        ) from error
    return _to_study(path, array, header)


def study_from_sitk(image: Any, name: str = "study") -> Study:
    """A SimpleITK image of two to four dimensions as a study, by the rules of :func:`read_itk`.

    Args:
        image: a ``SimpleITK.Image`` of gray values.
        name: of the study.

    Raises:
        InputError: it is not a scan that ctct can use.
    """
    import SimpleITK

    if not isinstance(image, SimpleITK.Image):
        raise InputError(f"{name}: {type(image).__name__} of SimpleITK is not an image")
    kind = image.GetPixelIDTypeAsString()
    if not 2 <= image.GetDimension() <= 4:
        raise InputError(f"{name}: image is {image.GetDimension()}-D; expected 2 to 4 dimensions")
    if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in kind or "label" in kind:
        raise InputError(f"{name}: voxels are {kind}; convert to one gray value per voxel")
    header = {
        "phases": 1,
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
        "space": "",
    }
    array = SimpleITK.GetArrayViewFromImage(image)
    return replace(_to_study(Path(name), array, header), name=name, path=None)


def _to_study(path: Path, array: npt.NDArray[Any], header: dict[str, Any]) -> Study:
    if header["phases"] == 1:
        array = array[..., None] if array.ndim < 4 else np.moveaxis(array, 0, -1)
    array = array[(None,) * (4 - array.ndim)]  # (z, y, x, t)
    zooms = [*header["spacing"][:3], float("nan")][:3]
    voxels = array.transpose(2, 1, 0, 3).astype(np.float32)
    study, _ = study_from_array(path, voxels, zooms, _affine(header))
    zooms = [*study.spacing_mm[::-1], study.slice_spacing_mm, 0.0]
    encoder = make_label_encoder(study.affine, study.voxels.shape, tuple(np.nan_to_num(zooms)))
    return replace(study, label_encoder=encoder)


def find_files(path: Path) -> list[Path]:
    """The files that hold a scan: the header, and where they are apart, the voxels."""
    try:
        with open_file(path) as stream:
            voxels, _ = _locate_voxels(path, stream.read(_HEADER_BYTES))
    except (OSError, InputError):  # reading the scan will say why
        return [path]
    return [path] if voxels == path else [path, voxels]


def _locate_voxels(path: Path, head: bytes) -> tuple[Path, int]:
    """The file that holds the voxels, and the byte at which they begin.

    It is ``path`` or a file in the same folder. Without this check SimpleITK would read any file
    that the header names, or a list of files, or a device.
    """
    kind = METAIMAGE if path.suffix.lower() in METAIMAGE else NRRD
    mentions = len(re.findall(_MENTIONED[kind], head))
    named = _DATA_FILE[kind].search(head)
    is_complete = len(head) < _HEADER_BYTES or re.search(rb"\n\r?\n", head)
    if mentions == 0 and kind == NRRD and is_complete:
        return path, 0
    if mentions != 1 or named is None:
        raise InputError(f"{path}: does not say once where its voxels are; write it again")
    if kind == METAIMAGE and named[1] in _SAME_FILE:
        return path, named.end()
    name = named[1].decode(errors="replace")
    if not re.fullmatch(r"\w[\w.+ -]*", name) or name.split()[0] in ("LIST", "SKIPLIST"):
        raise InputError(
            f"{path}: its voxels are in {name!r}; they must be in one file in the same folder"
        )
    data_path = path.with_name(name)
    open_file(data_path).close()  # raises for a pipe or a device
    return data_path, 0


def _check_compressed(data_path: Path, offset: int, expected: int) -> None:
    """Check that a compressed MetaImage unpacks to the number of bytes in its header.

    SimpleITK would fill missing voxels with the previous content of the memory.
    """
    decompressor, unpacked = zlib.decompressobj(32 + zlib.MAX_WBITS), 0  # zlib or gzip
    with open_file(data_path) as stream:
        stream.seek(offset)
        while unpacked < expected and (
            chunk := decompressor.unconsumed_tail or stream.read(_CHUNK)
        ):
            unpacked += len(decompressor.decompress(chunk, _CHUNK))
            if decompressor.eof:
                break
    if unpacked < expected:
        raise ValueError(f"unpacks to {unpacked} bytes, the header promises {expected}")


def _affine(header: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Voxel index to millimeters (RAS+). ITK's axes are LPS, except in 4-D NRRD files."""
    space, dimensions = header["space"], len(header["spacing"])
    to_ras = np.diag([1.0 if w in space else -1.0 for w in ("right", "anterior")] + [1.0, 1.0])
    axes = np.eye(4)
    axes[:dimensions, :dimensions] = np.reshape(header["direction"], (dimensions, dimensions))
    affine = np.eye(4)
    n = min(dimensions, 3)
    affine[:3, :n] = axes[:3, :n] * header["spacing"][:n]
    affine[:n, 3] = header["origin"][:n]
    return to_ras @ affine
