"""Compressed images are never unpacked to more than their header promises."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import COLUMNS, ROWS, coded, frame, image, packed, save, write_cine
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from ctct.cases.read import read_study
from ctct.errors import InputError
from ctct.io.dicom.pixels import coded_size, read_frames


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


def stored(bits: int = 16, signed: int = 0, **header: Any) -> Dataset:
    """An image of 2 × 3 pixels whose header has a number of bits and other attributes."""
    one = image(0, 0, Rows=2, Columns=3, BitsStored=bits, HighBit=bits - 1, **header)
    one.PixelRepresentation = signed
    one.PixelData = np.array([[0, 5, 7], [9, 900, 0]], np.uint16).tobytes()
    return one


class TestBrightness:
    @pytest.mark.parametrize(("bits", "highest"), [(16, 65_535), (12, 4095), (10, 1023)])
    def test_monochrome1_is_inverted(self, bits: int, highest: int) -> None:
        pixels = first(stored(bits, PhotometricInterpretation="MONOCHROME1"))
        assert pixels.tolist() == [
            [highest, highest - 5, highest - 7],
            [highest - 9, highest - 900, highest],
        ]

    @pytest.mark.parametrize("bits", [12, 16])
    def test_signed_monochrome1_is_inverted(self, bits: int) -> None:
        one = stored(bits, 1, PhotometricInterpretation="MONOCHROME1")
        lowest = -(2 ** (bits - 1))
        one.PixelData = np.array([[0, 5, 7], [lowest, -1, -lowest - 1]], np.int16).tobytes()
        assert first(one).tolist() == [[-1, -6, -8], [-lowest - 1, 0, lowest]]

    def test_an_inverted_cine_is_the_same_study(self, tmp_path: Path) -> None:
        """Of 16 bits, with a rescaling of its own in each image, half of the files inverted."""

        def change(t: int, z: int) -> dict[str, Any]:
            slope = {"RescaleSlope": str(1 + z), "RescaleIntercept": "3"}
            if t % 2:
                return slope
            pixels = (-1 - frame(t, z)).astype(np.int16).tobytes()
            return {**slope, "PhotometricInterpretation": "MONOCHROME1", "PixelData": pixels}

        write_cine(tmp_path, change=change)
        expected = [[(1.0 + z) * frame(t, z) + 3 for z in range(6)] for t in range(8)]
        np.testing.assert_array_equal(read_study(tmp_path).voxels, expected)

    @pytest.mark.parametrize(
        ("padding", "expected"),
        [
            ({"PixelPaddingValue": 0}, [[5, 5, 7], [9, 900, 5]]),
            ({"PixelPaddingValue": 900}, [[0, 5, 7], [9, 0, 0]]),
            ({"PixelPaddingValue": 3}, [[0, 5, 7], [9, 900, 0]]),
            ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 7}, [[9, 9, 9], [9, 900, 9]]),
            ({"PixelPaddingValue": 950, "PixelPaddingRangeLimit": 8}, [[0, 5, 7], [0, 0, 0]]),
            ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 999}, [[0, 5, 7], [9, 900, 0]]),
            (
                {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"},
                [[64_635, 65_530, 65_528], [65_526, 64_635, 64_635]],
            ),
        ],
    )
    def test_padding_is_as_dark_as_the_image(
        self, padding: dict[str, Any], expected: list[list[int]]
    ) -> None:
        assert first(stored(**padding)).tolist() == expected

    @pytest.mark.parametrize("value", [-2000, 63_536])
    @pytest.mark.parametrize("signed", [0, 1])
    def test_padding_in_the_header_with_another_sign(self, value: int, signed: int) -> None:
        one = stored(signed=signed)
        one.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
        one.PixelData = np.array([[63_536, 5, 7], [9, 63_536, 30]], np.uint16).tobytes()
        assert first(one).tolist() == [[5, 5, 7], [9, 5, 30]]
