"""NIfTI-1 and NIfTI-2 files to :class:`Study` and back, gzip through isal."""

from __future__ import annotations

import io
import logging
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from ctct.errors import InputError
from ctct.io.files import GZIP_MAGIC, MAX_BYTES, case_name, open_file
from ctct.io.study import SLICE_MM, Study

log = logging.getLogger(__name__)


_CHUNK = 4 * 2**20  # bytes or voxels

_HEADER_ERRORS = (HeaderDataError, ImageFileError, WrapStructError, ValueError)
_IMAGE_CLASSES = {348: nib.Nifti1Image, 540: nib.Nifti2Image}  # by the size of the header
_TO_MM = {1: 1000.0, 3: 0.001}  # NIFTI_UNITS_METER and _MICRON; anything else is taken as mm


@dataclass(frozen=True)
class NiftiSource:
    """Header of the file read and how its axes were moved, to write labels that overlay exactly."""

    image_class: type[nib.Nifti1Image]
    header: nib.Nifti1Header
    shape: tuple[int, ...]
    slice_axis: int

    def encode_labels(self, labels: npt.NDArray[np.uint8]) -> bytes:
        """gzip-compressed NIfTI of ``labels`` (T, Z, H, W), its geometry equal to the source's."""
        array = np.moveaxis(labels.transpose(3, 2, 1, 0), 2, self.slice_axis)
        header = self.header.copy()
        header.set_data_dtype(np.uint8)
        header.set_slope_inter(1, 0)
        header["cal_min"], header["cal_max"] = 0, 0
        # affine=None keeps qform, sform and their codes exactly as they were.
        image = self.image_class(array.reshape(self.shape), None, header)
        return cast(bytes, igzip.compress(image.to_bytes(), compresslevel=2, mtime=0))


def encode_study(study: Study, labels: npt.NDArray[np.uint8]) -> dict[str, bytes]:
    """A study made in memory and its labels (T, Z, H, W) as gzip-compressed NIfTI, by file stem.

    Voxels are stored as 16-bit integers; the stems are the study's name, and that with ``_gt``.
    """
    zooms = (*study.spacing_mm[::-1], study.slice_spacing_mm, 0.0)
    files = {}
    for stem, array in (
        (study.name, study.voxels.round().astype(np.int16)),
        (f"{study.name}_gt", labels),
    ):
        image = nib.Nifti1Image(array.transpose(3, 2, 1, 0), study.affine)
        image.header.set_zooms(zooms)
        image.header.set_xyzt_units("mm", "sec")
        files[stem] = cast(bytes, igzip.compress(image.to_bytes(), compresslevel=2, mtime=0))
    return files


def source_of(
    affine: npt.NDArray[np.float64], shape: tuple[int, ...], zooms: tuple[float, ...]
) -> NiftiSource:
    """Source of a study that comes from no NIfTI file: a header made of its geometry.

    Args:
        affine: voxel index (column, row, slice) to scanner coordinates in millimetres (RAS+).
        shape: (T, Z, H, W).
        zooms: size of a voxel in millimetres, along column, row and slice; seconds from frame to
            frame, 0 where not known.
    """
    size = (*shape[:0:-1], shape[0]) if shape[0] > 1 else shape[:0:-1]
    image = nib.Nifti1Image(np.broadcast_to(np.uint8(0), size), affine)
    image.set_sform(affine, "scanner")
    image.set_qform(affine, "scanner")  # without the shear of an oblique stack, which sform keeps
    image.header.set_zooms(zooms[: len(size)])
    image.header.set_xyzt_units("mm", "sec")
    return NiftiSource(nib.Nifti1Image, image.header, size, 2)


def read_nifti(path: str | Path, max_bytes: int = MAX_BYTES) -> Study:
    """Read a NIfTI file of two, three or four dimensions (column, row, slice, frame).

    Integer and floating types are taken, scl_slope and scl_inter honoured. The slice axis is the
    third, unless another axis has a spacing at least 1.5 times that of both others (a volume whose
    axes were reordered); the label map written for the study is in the file's own order again.

    Args:
        path: the file.
        max_bytes: a file that promises more, as filed or as 32-bit numbers, is refused before it is
            unpacked.

    Raises:
        InputError: the file is missing, damaged, not NIfTI, or not a scan ctct can use.
    """
    path = Path(path)
    try:
        image, pixdim = _load(path, max_bytes)
        header = image.header
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        if dtype.kind not in "iuf":
            kind = "RGB" if dtype.names else str(dtype)
            raise InputError(f"{path}: voxels are {kind}; convert to one gray value a voxel")
        if len(shape) < 2 or any(n != 1 for n in shape[4:]):
            raise InputError(
                f"{path}: image is {len(shape)}-D {shape}; expected column, row, slice and frame"
            )
        array = _voxels(image)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, EOFError, isal_zlib.IsalError) as error:  # type: ignore[misc]
        raise InputError(f"{path}: cannot be read ({error}); copy or download it again") from error
    except _HEADER_ERRORS as error:
        raise InputError(f"{path}: not a usable NIfTI file ({_one_line(error)})") from error

    array = array.reshape(
        shape[:4] + (1,) * (4 - len(shape)), order="F"
    )  # (x, y, z, t), slice axis anywhere
    factor = _TO_MM.get(int(header["xyzt_units"]) % 8, 1.0)
    zooms = [abs(float(z)) * factor for z in pixdim[1:4]]
    lone = array.shape[2] == 1
    if len(shape) == 2 or (lone and zooms[2] == 0):
        zooms[2] = float("nan")  # not given
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= factor
    study, slice_axis = oriented(path, array, zooms, affine)
    _warn_if_inconsistent(path, zooms, affine)
    return replace(study, source=NiftiSource(type(image), header, shape, slice_axis))


def oriented(
    path: Path,
    array: npt.NDArray[np.float32],
    zooms: list[float],
    affine: npt.NDArray[np.float64],
) -> tuple[Study, int]:
    """A study, its slice axis moved to its place, without a source; and which axis that was.

    Args:
        path: the file that was read.
        array: (x, y, z, t), the slice axis anywhere.
        zooms: size of a voxel along x, y and z, millimetres.
        affine: (4, 4), index (x, y, z) to millimetres (RAS+).
    """
    slice_axis = 2 if array.shape[2] == 1 else _slice_axis(zooms)
    order = [axis for axis in range(3) if axis != slice_axis] + [slice_axis]
    study = Study(
        name=case_name(path),
        voxels=np.ascontiguousarray(array.transpose(3, *order[::-1])),  # (T, Z, H, W)
        spacing_mm=(zooms[order[1]], zooms[order[0]]),
        slice_spacing_mm=zooms[slice_axis],
        affine=affine[:, [*order, 3]],
        path=path,
    )
    return study, slice_axis


@dataclass(frozen=True)
class Geometry:
    """What the header of a file says of the size and the place of its image.

    Attributes:
        shape: as filed.
        affine: (4, 4), voxel index to millimetres (RAS+).
        placed: whether the affine was written on purpose, as qform or sform.
    """

    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    placed: bool


def read_geometry(path: Path) -> Geometry | None:
    """What the header of a NIfTI file says; None where it is damaged or there is none."""
    try:
        with open_file(path) as raw:
            packed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            head = cast(BinaryIO, igzip.open(raw) if packed else raw).read(max(_IMAGE_CLASSES))
        _, header, _ = _checked_header(path, head)
    except (OSError, EOFError, InputError, isal_zlib.IsalError, *_HEADER_ERRORS):  # type: ignore[misc]
        return None
    affine = np.array(header.get_best_affine(), dtype=np.float64)
    affine[:3] *= _TO_MM.get(int(header["xyzt_units"]) % 8, 1.0)
    shape = tuple(int(n) for n in header.get_data_shape())
    placed = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    return Geometry(shape, affine, placed)


def _voxels(image: nib.Nifti1Image) -> npt.NDArray[np.float32]:
    """All voxels, scaled, a part at a time: scaling takes several times its result's memory."""
    shape = image.shape
    flat = image.dataobj.reshape((int(np.prod(shape)),))  # in the file's order, first axis fastest
    array = np.empty(flat.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by name
        for at in range(0, len(array), _CHUNK):
            array[at : at + _CHUNK] = flat[at : at + _CHUNK]
    return array.reshape(shape, order="F")


def _load(path: Path, max_bytes: int) -> tuple[nib.Nifti1Image, npt.NDArray[np.floating]]:
    """The image, its data wholly in memory, and pixdim as filed: nibabel sets a 0 there to 1."""
    with open_file(path) as raw:
        before = os.fstat(raw.fileno())
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        stream = cast(BinaryIO, igzip.open(raw) if packed else raw)
        head = stream.read(max(_IMAGE_CLASSES))
        image_class, header, pixdim = _checked_header(path, head)
        voxels = int(np.prod([int(n) for n in header.get_data_shape()], dtype=object))
        promised = int(header.get_data_offset()) + voxels * header.get_data_dtype().itemsize
        if max(promised, 4 * voxels) > max_bytes:
            raise InputError(
                f"{path}: header promises {promised / 2**30:.1f} GiB, {voxels} voxels; the limit "
                f"is {max_bytes / 2**30:g} GiB, {max_bytes // 4} voxels; split the file by frames"
            )
        data = io.BytesIO()
        data.write(head)
        while (missing := promised - data.tell()) > 0:
            if not data.write(stream.read(min(missing, _CHUNK))):
                raise InputError(
                    f"{path}: truncated, {data.tell()} of {promised} bytes; "
                    "copy or download it again"
                )
        stream.read(1)  # at the end of a gzip stream this checks its CRC
        after = os.fstat(raw.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise InputError(f"{path}: changed while it was read; run again when it is complete")
    data.seek(0)
    return cast(nib.Nifti1Image, image_class.from_stream(data)), pixdim


def _checked_header(
    path: Path, head: bytes
) -> tuple[type[nib.Nifti1Image], nib.Nifti1Header, npt.NDArray[np.floating]]:
    """Header, after the checks nibabel does not make or words vaguely, and pixdim as filed."""
    for size, image_class in _IMAGE_CLASSES.items():
        for order in "<>":
            if head[:4] == struct.pack(f"{order}i", size):
                header = image_class.header_class(head[:size], order, check=False)
                dim = header["dim"].tolist()
                if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
                    raise InputError(f"{path}: header gives dim {dim}; write the file again")
                offset = float(header["vox_offset"])
                if not size <= offset < MAX_BYTES:
                    raise InputError(f"{path}: voxels start at byte {offset:g}; write it again")
                pixdim = header["pixdim"].copy()
                header.check_fix()
                return image_class, header, pixdim
    raise InputError(f"{path}: not a NIfTI file (starts with {head[:8]!r}); convert it to NIfTI")


def _slice_axis(zooms: list[float]) -> int:
    sizes = np.nan_to_num(zooms)
    widest = int(sizes.argmax())
    others = np.delete(sizes, widest).max()
    return widest if 1.5 * others <= sizes[widest] <= SLICE_MM[1] else 2


def _warn_if_inconsistent(path: Path, zooms: list[float], affine: npt.NDArray[np.float64]) -> None:
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(0))[: sum(np.isfinite(zooms))]
    if not np.allclose(sizes, zooms[: len(sizes)], rtol=0.01):
        log.warning(
            "%s: pixdim gives %s mm, the affine %s mm; pixdim is used",
            path,
            "×".join(f"{z:g}" for z in zooms),
            "×".join(f"{s:g}" for s in sizes),
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
