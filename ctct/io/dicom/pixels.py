"""Pixels of DICOM images, never unpacked to more than the header promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.io.dicom.header import parse_number

#: Largest number of pixels of an image, 16 times that of a cardiac cine.
MAX_PIXELS = 2048 * 2048

_RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
#: Marker at the end of each of these streams; padding may follow.
_END = b"\xff\xd9"
#: Markers in JPEG and JPEG-LS that the size of the image follows.
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def read_frames(dataset: Any, indices: Sequence[int]) -> Iterator[npt.NDArray[Any]]:
    """The images of a data set with these indices, one at a time, each (rows, columns).

    Values grow with the brightness. Padding (PS3.3, C.7.5.1.1.2) has the darkest value of an image.

    Raises:
        ValueError: an image is in color or too large, or its compressed stream has another size
            than the header. Damage can make pydicom raise other exceptions.
        NotImplementedError: no installed package decodes the image; the message has the remedy.
    """
    from pydicom.pixels import iter_pixels

    from ctct.io.dicom.codecs import choose_plugin

    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise ValueError("in color")
    if rows * columns > MAX_PIXELS:
        raise ValueError(f"{rows}×{columns} pixels, the limit is {MAX_PIXELS}")
    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = choose_plugin(syntax)
    if syntax.is_encapsulated:
        _check_compressed(dataset, rows, columns)
    images = iter_pixels(dataset, indices=indices, decoding_plugin=plugin)
    return (_brightness(stored, dataset) for stored in images)


def _brightness(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[Any]:
    """Pixels that grow with the brightness; where there is no image, the darkest of the others."""
    is_signed, bits = dataset.PixelRepresentation == 1, int(dataset.BitsStored)
    lowest = -(2 ** (bits - 1)) if is_signed else 0
    highest = lowest + 2**bits - 1
    is_inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    pixels = (lowest + highest) - stored if is_inverted else stored
    padding = [
        lowest + int(value - lowest) % 2**bits  # its sign is often that of another type
        for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if (value := parse_number(dataset.get(name))) is not None
    ]
    is_image = (stored < min(padding)) | (stored > max(padding)) if padding else True
    if np.any(is_image):
        pixels = np.where(is_image, pixels, np.min(pixels, where=is_image, initial=highest))
    return pixels


def _check_compressed(dataset: Any, rows: int, columns: int) -> None:
    """Check that compressed images do not unpack to more memory than the header promises."""
    from pydicom.encaps import generate_frames

    count = int(dataset.get("NumberOfFrames") or 1)
    tables = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
    raw_bytes = rows * columns * max(int(dataset.BitsAllocated) // 8, 1)
    is_run_length = dataset.file_meta.TransferSyntaxUID == _RLE_LOSSLESS
    for packed in generate_frames(
        dataset.PixelData, number_of_frames=count, extended_offsets=tables if all(tables) else None
    ):
        if len(packed) > 1.1 * raw_bytes + 4096:  # incompressible data grow by about 1 %
            raise ValueError(f"{len(packed)} bytes compressed, {raw_bytes} unpacked")
        if is_run_length:
            continue
        if (size := coded_size(packed)) != (rows, columns, 1):
            raise ValueError(f"unpacks to {size} rows, columns and colors, not {rows}×{columns}")
        if not packed.rstrip(b"\x00\xff").endswith(_END):  # libjpeg would fill the rest with gray
            raise ValueError("compressed image ends too early")


def coded_size(packed: bytes) -> tuple[int, int, int]:
    """Rows, columns and colors in the header of a JPEG, JPEG-LS or JPEG 2000 stream.

    Raises:
        ValueError: it is no such stream.
    """

    def number(offset: int, size: int) -> int:
        if offset + size > len(packed):
            raise ValueError("compressed image ends within its header")
        return int.from_bytes(packed[offset : offset + size], "big")

    if packed.startswith(_JPEG_2000):
        right, bottom, left, top = (number(8 + 4 * n, 4) for n in range(4))
        return bottom - top, right - left, number(40, 2)
    if not packed.startswith(_JPEG):
        raise ValueError("compressed in another way than its header says")
    offset = len(_JPEG)
    while number(offset, 1) == 0xFF:
        marker = number(offset + 1, 1)
        if marker in _START_OF_FRAME:
            return number(offset + 5, 2), number(offset + 7, 2), number(offset + 9, 1)
        offset += 1 if marker == 0xFF else 2 + number(offset + 2, 2)  # 0xFF is a fill byte
    raise ValueError("compressed image without a size")
