"""Reading a DICOM series as a :class:`Study`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import CtctError, InputError
from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.header import Image, frame_value, parse_number, read_dataset
from ctct.io.dicom.pixels import read_frames
from ctct.io.dicom.series import Series
from ctct.io.dicom.stack import arrange
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings
from ctct.io.files import MAX_BYTES
from ctct.io.nifti import make_label_encoder
from ctct.io.sequences import note_sequence
from ctct.io.study import Study


def read_series(series: Series, name: str, max_bytes: int = MAX_BYTES) -> Study:
    """Read the images of a series, refused if they take more than ``max_bytes`` as 32-bit numbers.

    Raises:
        InputError: the images make no stack of slices with equal numbers of phases, one cannot be
            read, or they are too large.
        RuntimeUnavailableError: pydicom is not installed.
    """
    stack = arrange(series)
    shape = (len(stack.images), len(stack.images[0]), *series.first.shape)  # (T, Z, H, W)
    if 4 * int(np.prod(shape, dtype=object)) > max_bytes:
        raise InputError(
            f"{series.path}: {shape} voxels, the limit is {max_bytes // 4}; export fewer phases"
        )
    voxels = np.empty(shape, np.float32)
    places_by_file: dict[DicomFile, list[tuple[int, int, Image]]] = defaultdict(list)
    for t, phase in enumerate(stack.images):
        for z, image in enumerate(phase):
            places_by_file[image.file].append((t, z, image))
    with Opener() as opener, suppress_pydicom_warnings:
        for file, places in places_by_file.items():
            try:
                dataset = read_dataset(opener, file)
                sequence_notes = note_sequence(dataset)
                frames = read_frames(dataset, [image.frame for _, _, image in places])
                for (t, z, image), pixels in zip(places, frames, strict=True):
                    voxels[t, z] = _rescale(pixels, dataset, image.frame)
            except CtctError:
                raise
            except Exception as error:  # damage can make pydicom raise any exception
                raise InputError(_describe_failure(file, error)) from error
    notes = list(stack.notes)
    if incomplete := count_incomplete(voxels):
        notes.append(
            f"images that are blank, or blank from some row on: {incomplete}; copy them again"
        )
    row_mm, column_mm = series.first.spacing_mm or ()
    zooms = (column_mm, row_mm, stack.slice_spacing_mm, stack.frame_s)
    return Study(
        name=name,
        voxels=voxels,
        spacing_mm=(row_mm, column_mm),
        slice_spacing_mm=stack.slice_spacing_mm,
        affine=stack.affine,
        path=series.path,
        label_encoder=make_label_encoder(stack.affine, shape, tuple(np.nan_to_num(zooms))),
        notes=(*notes, *sequence_notes),
    )


def count_incomplete(voxels: npt.NDArray[np.float32]) -> int:
    """How many images (T, Z, H, W) end in more rows of one value than others do.

    An interrupted copy may leave a file of the right size, filled up with zeros.
    """
    ramp = np.arange(voxels.shape[2])
    is_filled = voxels.max(axis=3) > voxels.min(axis=3)  # (T, Z, H)
    filled_rows = np.where(is_filled, ramp + 1, 0).max(axis=2)  # up to the last row with an image
    return int(np.count_nonzero(filled_rows < np.median(filled_rows) - 0.1 * len(ramp)))


def _rescale(pixels: npt.NDArray[Any], dataset: Any, frame: int) -> npt.NDArray[np.float32]:
    slope, intercept = (
        parse_number(frame_value(dataset, frame, name, "PixelValueTransformationSequence"))
        for name in ("RescaleSlope", "RescaleIntercept")
    )
    return pixels.astype(np.float32) * (1.0 if slope is None else slope) + (intercept or 0.0)


def _describe_failure(file: DicomFile, error: Exception) -> str:
    where = f"{file.path}, {file.member}" if file.member else str(file.path)
    message = " ".join(str(error).split())[:200]
    if isinstance(error, NotImplementedError):
        return f"{where}: {message}"
    return f"{where}: pixels cannot be read ({type(error).__name__}: {message}); export it again"
