"""Every transfer syntax of images is read with its values, or refused by its name."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
pytest.importorskip("imagecodecs")
import imagecodecs
from dicom_support import COLUMNS, ROWS, image, save
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ctct.cases.read import read_study
from ctct.errors import InputError
from ctct.io.dicom.pixels import read_frames

DEPTHS = [(8, False), (8, True), (10, False), (12, False), (12, True), (16, False), (16, True)]


def gray(bits: int, signed: bool) -> np.ndarray:
    """A round image with a little noise and the largest and smallest value (H, W)."""
    rows, columns = np.indices((ROWS, COLUMNS))
    largest = 2**bits - 1
    noise = np.random.default_rng(0).integers(0, largest // 16, rows.shape)
    values = np.clip(largest * np.hypot(rows - 20, columns - 18) / 27 - noise, 0, largest)
    values[0, :2] = 0, largest
    values -= signed * 2 ** (bits - 1)
    return values.astype(("i" if signed else "u") + str(1 if bits == 8 else 2))


def words(array: np.ndarray, bits: int) -> np.ndarray:
    """The stored bits of each pixel as an unsigned number, as most syntaxes hold them."""
    return array.view(f"u{array.itemsize}") & np.array(2**bits - 1, f"u{array.itemsize}")


def jpeg(array: np.ndarray, bits: int, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(words(array, bits), bitspersample=bits, **options))


def jpeg_2000(array: np.ndarray, bits: int) -> bytes:
    options = {"codecformat": "j2k", "reversible": True, "bitspersample": bits}
    return bytes(imagecodecs.jpeg2k_encode(array, **options))


LOSSLESS: list[tuple[UID, Callable[[np.ndarray, int], bytes]]] = [
    (JPEGLosslessSV1, lambda a, bits: jpeg(a, bits, lossless=True, predictor=1)),
    *(
        (JPEGLossless, lambda a, bits, k=k: jpeg(a, bits, lossless=True, predictor=k))
        for k in range(1, 8)
    ),
    (JPEGLSLossless, lambda a, bits: bytes(imagecodecs.jpegls_encode(words(a, 8 * a.itemsize)))),
    (
        JPEGLSNearLossless,
        lambda a, bits: bytes(imagecodecs.jpegls_encode(words(a, 8 * a.itemsize))),
    ),
    (JPEG2000Lossless, jpeg_2000),
    (JPEG2000Lossless, lambda a, bits: jpeg_2000(words(a, bits), bits)),
    (JPEG2000, jpeg_2000),
    *(
        (syntax, lambda a, bits: bytes(imagecodecs.htj2k_encode(a, reversible=True)))
        for syntax in (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
    ),
]


def dataset(array: np.ndarray, bits: int, **changes: Any) -> Dataset:
    """An image with these pixels, not compressed."""
    one = image(0, 0, **changes)
    one.BitsAllocated, one.BitsStored, one.HighBit = 8 * array.itemsize, bits, bits - 1
    one.PixelRepresentation = int(array.dtype.kind == "i")
    one.PixelData = array.tobytes()
    one["PixelData"].VR = "OB" if bits == 8 else "OW"
    return one


def packed(one: Dataset, syntax: UID, stream: bytes) -> Dataset:
    one.file_meta.TransferSyntaxUID = syntax
    one.PixelData = encapsulate([stream])
    one["PixelData"].VR = "OB"
    return one


def pixels(one: Dataset, path: Path) -> np.ndarray:
    return next(iter(read_frames(dcmread(save(one, path / "a.dcm")), [0])))


@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
@pytest.mark.parametrize(("syntax", "encode"), LOSSLESS, ids=[s.name for s, _ in LOSSLESS])
def test_lossless_pixels_are_those_that_were_compressed(
    tmp_path: Path,
    syntax: UID,
    encode: Callable[[np.ndarray, int], bytes],
    bits: int,
    signed: bool,
) -> None:
    array = gray(bits, signed)
    one = packed(dataset(array, bits), syntax, encode(array, bits))
    np.testing.assert_array_equal(pixels(one, tmp_path), array)


@pytest.mark.parametrize("loss", ["half", "tenth", "end", "zeros"])
@pytest.mark.parametrize(
    ("syntax", "encode"),
    [*LOSSLESS[::2], (JPEGExtended12Bit, lambda a, bits: jpeg(a, bits, level=98))],
)
def test_a_stream_that_was_cut_is_refused(
    tmp_path: Path, syntax: UID, encode: Callable[[np.ndarray, int], bytes], loss: str
) -> None:
    array = gray(12, False)
    stream = encode(array, 12)
    size = {"half": len(stream) // 2, "tenth": len(stream) * 9 // 10}.get(loss, len(stream) - 4)
    cut = stream[:size] + bytes(len(stream) - size if loss == "zeros" else 0)
    with pytest.raises(ValueError, match="ends too early"):
        pixels(packed(dataset(array, 12), syntax, cut), tmp_path)


#: Programs of dcmtk, an encoder of another origin, and their options.
DCMTK = [
    ("dcmcjpeg", "+e1"),
    *(("dcmcjpeg", "+el", "+sv", str(k)) for k in (1, 4, 6, 7)),
    ("dcmcjpls", "+el"),
    ("dcmcrle",),
]


@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
@pytest.mark.parametrize("command", DCMTK, ids=map(" ".join, DCMTK))
def test_files_of_dcmtk(tmp_path: Path, command: Sequence[str], bits: int, signed: bool) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]} of dcmtk")
    array = gray(bits, signed)
    source = save(dataset(array, bits), tmp_path / "source.dcm")
    subprocess.run([*command, source, tmp_path / "a.dcm"], check=True, capture_output=True)
    frames = read_frames(dcmread(tmp_path / "a.dcm"), [0])
    np.testing.assert_array_equal(next(iter(frames)), array)


@pytest.mark.parametrize(
    ("syntax", "bits"), [(JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 8), (JPEGExtended12Bit, 12)]
)
def test_lossy_pixels_are_close(tmp_path: Path, syntax: UID, bits: int) -> None:
    rows, columns = np.indices((ROWS, COLUMNS))
    array = ((rows + columns) * (2**bits / 80)).astype(np.uint8 if bits == 8 else np.uint16)
    one = packed(dataset(array, bits), syntax, jpeg(array, bits, level=98))
    np.testing.assert_allclose(pixels(one, tmp_path), array, atol=2**bits / 100)


@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
@pytest.mark.parametrize("syntax", [RLELossless, ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_syntaxes_that_need_no_decoder(
    tmp_path: Path, syntax: UID, bits: int, signed: bool
) -> None:
    array = gray(bits, signed)
    one = dataset(array, bits)
    if syntax == RLELossless:
        one.compress(RLELossless)
    one.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(pixels(one, tmp_path), array)


def test_big_endian(tmp_path: Path) -> None:
    array = gray(12, True)
    one = dataset(array, 12, PixelData=None, TriggerTime="3")
    one.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    one.PixelData = array.byteswap().tobytes()
    one["PixelData"].VR = "OW"
    path = tmp_path / "a.dcm"
    one.save_as(path, implicit_vr=False, little_endian=False, enforce_file_format=True)
    np.testing.assert_array_equal(next(iter(read_frames(dcmread(path), [0]))), array)


def write_packed_cine(folder: Path, syntax: UID, stream: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for t in range(6):
        for z in range(5):
            one = image(t, z)
            one.BitsStored, one.HighBit, one.PixelRepresentation = 12, 11, 0
            path = folder / f"{t}_{z}"
            packed(one, syntax, stream).save_as(path, implicit_vr=False, little_endian=True)
    return folder


def test_a_cine_in_jpeg_lossless_is_read(tmp_path: Path) -> None:
    array = gray(12, False)
    stream = jpeg(array, 12, lossless=True, predictor=1)
    study = read_study(write_packed_cine(tmp_path, JPEGLosslessSV1, stream))
    np.testing.assert_array_equal(study.voxels, np.broadcast_to(array, (6, 5, ROWS, COLUMNS)))
    assert study.notes == ()


def test_without_the_decoder_the_syntax_and_the_remedy_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctct.io.dicom.codecs.find_spec", lambda name: None)
    folder = write_packed_cine(tmp_path, JPEGLosslessSV1, b"\xff\xd8")
    with pytest.raises(InputError, match=r"compressed as JPEG Lossless.* pip install .*\[dicom"):
        read_study(folder)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [(MPEG2MPML, "MPEG2 Main"), (UID("1.2.840.10008.1.2.4.94"), "JPIP"), (UID("1.2.3"), "1.2.3")],
)
def test_other_syntaxes_are_refused_by_name(tmp_path: Path, syntax: UID, name: str) -> None:
    folder = write_packed_cine(tmp_path, syntax, b"\xff\xd8")
    with pytest.raises(InputError, match=f"transfer syntax, {name}.*; export it uncompressed"):
        read_study(folder)
