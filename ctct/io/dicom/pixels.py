"""Pixels of DICOM, unpacked only as far as the header promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

#: Pixels that an image may have; those of cardiac cines have a sixteenth.
MAX_PIXELS = 2048 * 2048

_RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
#: Markers of JPEG, and JPEG-LS, that are followed by the size of the image.
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def read_frames(dataset: Any, indices: Sequence[int]) -> Iterator[npt.NDArray[Any]]:
    """The images of a data set with these numbers, each (rows, columns), one after the other.

    Raises:
        ValueError: an image is in color, too large, or would unpack to another size than the
            header says; and whatever else a damaged file leads pydicom to.
    """
    from pydicom.pixels import iter_pixels

    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise ValueError("in color")
    if rows * columns > MAX_PIXELS:
        raise ValueError(f"{rows}×{columns} pixels, the limit is {MAX_PIXELS}")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_packed(dataset, rows, columns)
    frames: Iterator[npt.NDArray[Any]] = iter_pixels(dataset, indices=indices)
    return frames


def _check_packed(dataset: Any, rows: int, columns: int) -> None:
    """Refuse compressed images that would take more memory than the header promises."""
    from pydicom.encaps import generate_frames

    count = int(dataset.get("NumberOfFrames") or 1)
    tables = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
    raw = rows * columns * max(int(dataset.BitsAllocated) // 8, 1)
    by_run_length = dataset.file_meta.TransferSyntaxUID == _RLE_LOSSLESS
    for packed in generate_frames(
        dataset.PixelData, number_of_frames=count, extended_offsets=tables if all(tables) else None
    ):
        if len(packed) > 1.1 * raw + 4096:  # what cannot be compressed grows by a hundredth
            raise ValueError(f"{len(packed)} bytes compressed, {raw} unpacked")
        size = None if by_run_length else coded_size(packed)
        if size not in (None, (rows, columns, 1)):
            raise ValueError(f"unpacks to {size} rows, columns and colors, not {rows}×{columns}")


def coded_size(packed: bytes) -> tuple[int, int, int]:
    """Rows, columns and colors that a JPEG, JPEG-LS or JPEG 2000 stream says it has.

    Raises:
        ValueError: it is none of these.
    """

    def number(at: int, size: int) -> int:
        if at + size > len(packed):
            raise ValueError("compressed image ends within its header")
        return int.from_bytes(packed[at : at + size], "big")

    if packed.startswith(_JPEG_2000):
        right, bottom, left, top = (number(8 + 4 * n, 4) for n in range(4))
        return bottom - top, right - left, number(40, 2)
    if not packed.startswith(_JPEG):
        raise ValueError("compressed in another way than its header says")
    at = len(_JPEG)
    while number(at, 1) == 0xFF:
        marker = number(at + 1, 1)
        if marker in _START_OF_FRAME:
            return number(at + 5, 2), number(at + 7, 2), number(at + 9, 1)
        at += 1 if marker == 0xFF else 2 + number(at + 2, 2)  # fill bytes are allowed
    raise ValueError("compressed image without a size")
