"""NIfTI-1 and NIfTI-2 files: read as :class:`Study`, label maps written back; gzip by isal."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from nibabel.wrapstruct import WrapStructError

from ctct.errors import InputError
from ctct.io.files import GZIP_MAGIC, MAX_BYTES, case_name, open_file
from ctct.io.nifti_geometry import ImageGeometry, find_geometry, find_slice_axis, note_skew
from ctct.io.study import Study

_CHUNK = 4 * 2**20  # bytes or voxels

_HEADER_ERRORS = (HeaderDataError, ImageFileError, WrapStructError, ValueError)
_IMAGE_CLASSES = {348: nib.Nifti1Image, 540: nib.Nifti2Image}  # by size of the header in bytes
_CODES = {"magic", "regular"}  # fields of text that are no text of the user


@dataclass(frozen=True)
class NiftiLabelEncoder:
    """Encodes label maps that overlay a NIfTI file exactly.

    Attributes:
        image_class: NIfTI-1 or NIfTI-2.
        header: of the file.
        shape: of the file.
        slice_axis: axis of the file that holds the slices.
    """

    image_class: type[nib.Nifti1Image]
    header: nib.Nifti1Header
    shape: tuple[int, ...]
    slice_axis: int

    def encode_labels(self, labels: npt.NDArray[np.uint8]) -> bytes:
        """gzip-compressed NIfTI of ``labels`` (T, Z, H, W), in the geometry of the file.

        Texts and extensions of the header are left out: they may hold names and dates.
        """
        array = np.moveaxis(labels.transpose(3, 2, 1, 0), 2, self.slice_axis)
        header = self.header.copy()
        header.set_data_dtype(np.uint8)
        header.set_slope_inter(1, 0)
        header["cal_min"], header["cal_max"] = 0, 0
        for field in header:
            if header[field].dtype.kind == "S" and field not in _CODES:
                header[field] = b""
        header.extensions = type(header.extensions)()  # the copy shares those of the scan
        # With affine=None nibabel keeps qform, sform and their codes unchanged.
        image = self.image_class(array.reshape(self.shape), None, header)
        return cast(bytes, igzip.compress(image.to_bytes(), compresslevel=2, mtime=0))


def encode_study(study: Study, labels: npt.NDArray[np.uint8]) -> dict[str, bytes]:
    """A study made in memory and its labels (T, Z, H, W) as gzip-compressed NIfTI, by file stem.

    Voxels are stored as 16-bit integers. The stems are ``NAME`` and ``NAME_gt``.
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


def make_label_encoder(
    affine: npt.NDArray[np.float64], shape: tuple[int, ...], zooms: tuple[float, ...]
) -> NiftiLabelEncoder:
    """The encoder of a study that was not read from NIfTI, with a header made from its geometry.

    Args:
        affine: (4, 4), voxel index (column, row, slice) to scanner coordinates in mm (RAS+).
        shape: (T, Z, H, W).
        zooms: voxel size along column, row and slice in mm, then seconds from frame to frame, 0
            where unknown.
    """
    size = (*shape[:0:-1], shape[0]) if shape[0] > 1 else shape[:0:-1]
    image = nib.Nifti1Image(np.broadcast_to(np.uint8(0), size), affine)
    image.set_sform(affine, "scanner")
    image.set_qform(affine, "scanner")  # drops the shear of an oblique stack; the sform keeps it
    image.header.set_zooms(zooms[: len(size)])
    image.header.set_xyzt_units("mm", "sec")
    return NiftiLabelEncoder(nib.Nifti1Image, image.header, size, 2)


def read_nifti(path: str | Path, max_bytes: int = MAX_BYTES) -> Study:
    """Read a NIfTI file of two, three or four dimensions (column, row, slice, frame).

    Voxels may be integers or floats; scl_slope and scl_inter are applied. The slice axis is the
    third, unless another axis has a spacing at least 1.5 times that of both others, as in a volume
    whose axes were reordered. Label maps of the study have the axis order of the file. Voxel size
    and position are those of the sform, else of the qform, else of pixdim; see
    :mod:`ctct.io.nifti_geometry`.

    Args:
        path: the file.
        max_bytes: a larger scan, as stored or as 32-bit numbers, is refused before it is unpacked.

    Raises:
        InputError: the file is missing, damaged, not NIfTI, or not a scan that ctct can use.
    """
    path = Path(path)
    try:
        return _to_study(path, *_load(path, max_bytes))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, EOFError, isal_zlib.IsalError) as error:  # type: ignore[misc]
        raise InputError(f"{path}: cannot be read ({error}); copy or download it again") from error
    except _HEADER_ERRORS as error:
        raise InputError(f"{path}: not a usable NIfTI file ({_shorten(error)})") from error


def study_from_nibabel(image: SpatialImage, name: str = "study") -> Study:
    """A nibabel image as a study, by the rules of :func:`read_nifti`.

    Args:
        image: of two to four dimensions (column, row, slice, frame).
        name: of the study.

    Raises:
        InputError: it is not an image, or not a scan that ctct can use.
    """
    if not isinstance(image, SpatialImage):
        raise InputError(f"{name}: {type(image).__name__} of nibabel is not an image")
    try:
        nifti = _copy_image(image)
        study = _to_study(Path(name), nifti, nifti.header)
    except InputError:
        raise
    except (OSError, EOFError, zlib.error, *_HEADER_ERRORS) as error:
        raise InputError(f"{name}: cannot be read ({_shorten(error)})") from error
    return replace(study, name=name, path=None)


def _copy_image(image: SpatialImage) -> nib.Nifti1Image:
    """A single-file NIfTI image of the same voxels, whose header is its own and fits its affine."""
    if not isinstance(image, nib.Nifti1Pair):
        return nib.Nifti1Image.from_image(image)
    header = image.header.copy()
    image_class = _IMAGE_CLASSES[int(header["sizeof_hdr"])]
    affine = header.get_best_affine() if image.affine is None else image.affine
    header = image_class.header_class.from_header(header)
    return image_class(image.dataobj, affine, header)


def encode_labels(study: Study, labels: npt.NDArray[np.uint8]) -> bytes:
    """Labels (T, Z, H, W) of a study as gzip-compressed NIfTI.

    In the geometry and axis order of the file that the study was read from; of a study made in
    memory, in that of its affine.
    """
    encoder = study.label_encoder
    if encoder is None:
        sizes_mm = np.nan_to_num((*study.spacing_mm[::-1], study.slice_spacing_mm, 0.0))
        encoder = make_label_encoder(study.affine, study.voxels.shape, tuple(sizes_mm))
    return encoder.encode_labels(labels)


def _to_study(path: Path, image: nib.Nifti1Image, stored: nib.Nifti1Header) -> Study:
    header = image.header
    shape = tuple(int(n) for n in header.get_data_shape())
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        kind = "RGB" if dtype.names else str(dtype)
        raise InputError(f"{path}: voxels are {kind}; convert to one gray value per voxel")
    if len(shape) < 2 or any(n != 1 for n in shape[4:]):
        raise InputError(
            f"{path}: image is {len(shape)}-D {shape}; expected column, row, slice and frame"
        )
    array = _read_voxels(image)
    # (x, y, z, t), where any of the first three may be the slice axis
    array = array.reshape(shape[:4] + (1,) * (4 - len(shape)), order="F")
    geometry = find_geometry(header, stored)
    sizes_mm = list(geometry.voxel_mm)
    if len(shape) == 2 or (array.shape[2] == 1 and stored["pixdim"][3] == 0):
        sizes_mm[2] = float("nan")  # unknown
    study, slice_axis = study_from_array(path, array, sizes_mm, geometry.affine)
    encoder = NiftiLabelEncoder(type(image), header, shape, slice_axis)
    return replace(study, label_encoder=encoder, notes=geometry.notes + study.notes)


def study_from_array(
    path: Path,
    array: npt.NDArray[np.float32],
    zooms: list[float],
    affine: npt.NDArray[np.float64],
) -> tuple[Study, int]:
    """A study without a label encoder, and the index of the slice axis in ``array``.

    Args:
        path: the file that was read.
        array: (x, y, z, t); any of x, y, z may be the slice axis.
        zooms: voxel size along x, y and z in mm.
        affine: (4, 4), index (x, y, z) to millimeters (RAS+).
    """
    slice_axis = 2 if array.shape[2] == 1 else find_slice_axis(zooms)
    order = [axis for axis in range(3) if axis != slice_axis] + [slice_axis]
    study = Study(
        name=case_name(path),
        voxels=np.ascontiguousarray(array.transpose(3, *order[::-1])),  # (T, Z, H, W)
        spacing_mm=(zooms[order[1]], zooms[order[0]]),
        slice_spacing_mm=zooms[slice_axis],
        affine=affine[:, [*order, 3]],
        path=path,
    )
    return replace(study, notes=note_skew(*study.affine[:3, :2].T)), slice_axis


def read_geometry(path: Path) -> ImageGeometry | None:
    """Read the header of a NIfTI file; None where it is damaged or missing."""
    try:
        with open_file(path) as raw:
            head = _unpacked(raw).read(max(_IMAGE_CLASSES))
        _, header, stored = _parse_header(path, head)
        return find_geometry(header, stored)
    except (OSError, EOFError, InputError, isal_zlib.IsalError, *_HEADER_ERRORS):  # type: ignore[misc]
        return None


def _read_voxels(image: nib.Nifti1Image) -> npt.NDArray[np.float32]:
    """All voxels, scaled in parts, because scaling takes several times the memory of its result."""
    shape = image.shape
    if isinstance(image.dataobj, np.ndarray):  # made in memory
        return image.dataobj.astype(np.float32)
    flat = image.dataobj.reshape((int(np.prod(shape)),))  # in order of the file, first axis fastest
    array = np.empty(flat.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # NaN and infinity are refused later
        for at in range(0, len(array), _CHUNK):
            array[at : at + _CHUNK] = flat[at : at + _CHUNK]
    return array.reshape(shape, order="F")


def _load(path: Path, max_bytes: int) -> tuple[nib.Nifti1Image, nib.Nifti1Header]:
    """The image, all in memory, and the header before nibabel mended it."""
    with open_file(path) as raw:
        before = os.fstat(raw.fileno())
        stream = _unpacked(raw)
        head = stream.read(max(_IMAGE_CLASSES))
        image_class, header, stored = _parse_header(path, head)
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
    return cast(nib.Nifti1Image, image_class.from_stream(data)), stored


def _unpacked(raw: BinaryIO) -> BinaryIO:
    """The content of a file, through gzip if it is compressed."""
    is_gzip = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    raw.seek(0)
    return cast(BinaryIO, igzip.open(raw) if is_gzip else raw)


def _parse_header(
    path: Path, head: bytes
) -> tuple[type[nib.Nifti1Image], nib.Nifti1Header, nib.Nifti1Header]:
    """Image class, header and header as stored, after checks that nibabel does not make."""
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
                stored = header.copy()
                header.check_fix()
                return image_class, header, stored
    raise InputError(f"{path}: not a NIfTI file (starts with {head[:8]!r}); convert it to NIfTI")


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
