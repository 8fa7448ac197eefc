"""Compressed images are never unpacked to more than their header promises."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import COLUMNS, ROWS, coded, packed, save, write_cine
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from ctct.errors import InputError
from ctct.io.dicom.pixels import coded_size, read_frames
from ctct.io.read import read_study


def first(dataset: Dataset) -> np.ndarray:
    return next(iter(read_frames(dataset, [0])))


@pytest.mark.parametrize(
    ("kind", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)]
)
def test_a_compressed_cine_is_read(tmp_path: Path, kind: str, syntax: UID) -> None:
    for t in range(6):
        for z in range(5):
            save(packed(syntax, coded(kind), phase=t, place=z), tmp_path / f"{t}_{z}")
    voxels = read_study(tmp_path).voxels
    assert voxels.shape == (6, 5, ROWS, COLUMNS)
    assert voxels[3, 2, 7, 2] == pytest.approx(0, abs=3)
    assert voxels[3, 2, 7, -2] == pytest.approx(200, abs=3)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_the_size_in_the_header_of_a_stream(kind: str) -> None:
    assert coded_size(coded(kind, 33, 57)) == (33, 57, 1)
    with pytest.raises(ValueError, match=r"ends within its header|without a size"):
        coded_size(coded(kind, 33, 57)[:20])


def test_jpeg_ls_after_a_fill_byte_and_a_comment() -> None:
    comment = b"\xff\xfe\x00\x04hi"
    frame = b"\xff\xf7\x00\x0b\x10\x01\x02\x03\x04\x01" + bytes(4)  # 16 bits, 258 × 772, gray
    assert coded_size(b"\xff\xd8" + comment + b"\xff" + frame) == (258, 772, 1)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_a_stream_that_unpacks_to_more_is_refused(kind: str) -> None:
    syntax = JPEGBaseline8Bit if kind == "JPEG" else JPEG2000Lossless
    bomb = packed(syntax, coded(kind, 300, 300))
    bomb.Rows, bomb.Columns = 299, 300
    with pytest.raises(ValueError, match=r"unpacks to \(300, 300, 1\).*not 299×300"):
        first(bomb)


def test_a_header_that_promises_too_much_is_refused() -> None:
    bomb = packed(JPEGBaseline8Bit, coded("JPEG"))
    bomb.Rows, bomb.Columns = 60_000, 60_000
    with pytest.raises(ValueError, match="60000×60000 pixels, the limit is"):
        first(bomb)


def test_more_compressed_bytes_than_pixels_are_refused() -> None:
    """Two bytes of run-length code would unpack to 128."""
    with pytest.raises(ValueError, match="compressed, 1440 unpacked"):
        first(packed(RLELossless, bytes(64) + b"\x81\x00" * 5000))


def test_only_requested_frames_are_unpacked() -> None:
    """The header promises 10⁹ frames; the only one is read."""
    one = packed(JPEG2000Lossless, coded("JPEG2000"))
    one.NumberOfFrames = 10**9
    with warnings.catch_warnings(action="ignore"):  # pydicom says that they are not there
        assert first(one).shape == (ROWS, COLUMNS)


def test_color_is_refused(tmp_path: Path) -> None:
    color = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    write_cine(tmp_path, change=lambda t, z: color)
    with pytest.raises(InputError, match=r"pixels cannot be read .*in color"):
        read_study(tmp_path, "1.2.3")


def test_pixels_in_another_format_than_in_the_header() -> None:
    with pytest.raises(ValueError, match="compressed in another way"):
        first(packed(JPEG2000Lossless, b"GIF89a" + bytes(40)))
