"""The headers of single-frame and enhanced images."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import COLUMN, NORMAL, ORIGIN, ROW, enhanced, frame, image, save, write_cine
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ctct.cases.discover import discover
from ctct.cases.read import read_study
from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.header import Image, parse_number, read_dataset, read_headers
from ctct.io.patient_info import PatientInfo


def headers(dataset: Dataset, path: Path) -> list[Image]:
    return read_headers([DicomFile(save(dataset, path))])[0]


def test_an_image_has_the_attributes_of_its_header(tmp_path: Path) -> None:
    body = {"PatientSex": "f", "PatientSize": "1.70", "PatientWeight": "60", "HeartRate": "75"}
    dataset = image(3, 2, SeriesDescription="SAX", TemporalPositionIdentifier=4, **body)
    (header,) = headers(dataset, tmp_path / "a.dcm")
    assert (header.file, header.frame) == (DicomFile(tmp_path / "a.dcm"), 0)
    assert (header.study, header.series, header.number) == ("1.2", "1.2.3", 7)
    assert (header.description, header.modality, header.kind) == ("SAX", "MR", "")
    assert header.shape == (40, 36)
    assert header.spacing_mm == (1.25, 1.5)
    assert header.orientation == pytest.approx((*ROW, *COLUMN))
    assert header.position == pytest.approx(tuple(ORIGIN + 16 * NORMAL), abs=1e-4)
    assert header.order == {
        "TriggerTime": (130,),
        "TemporalPositionIdentifier": (4,),
        "InstanceNumber": (7, 204),
    }
    assert header.missing == ""
    assert header.info == PatientInfo(None, None, 170, 60, "F", 75)


def test_an_enhanced_file_has_an_image_per_frame(tmp_path: Path) -> None:
    images = headers(enhanced(2, 3), tmp_path / "a.dcm")
    assert [image.frame for image in images] == [0, 1, 2, 3, 4, 5]
    assert len({image.position for image in images}) == 3
    assert {*(image.order["NominalCardiacTriggerDelayTime"] for image in images)} == {(10,), (50,)}
    assert {image.spacing_mm for image in images} == {(1.25, 1.5)}  # of the shared group


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"ImageType": ["DERIVED", "PRIMARY", "P"]}, "phase map (flow)"),
        ({"SamplesPerPixel": 3}, "color image"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "color image"),
    ],
)
def test_images_that_are_no_plain_ones(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    (header,) = headers(image(0, 0, **changes), tmp_path / "a.dcm")
    assert header.kind == kind


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"PixelSpacing": ["0", "1"]}, "PixelSpacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "ImageOrientationPatient"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 2, 0]}, "ImageOrientationPatient"),
        ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
    ],
)
def test_an_impossible_geometry_counts_as_missing(
    tmp_path: Path, changes: dict[str, Any], missing: str
) -> None:
    (header,) = headers(image(0, 0, **changes), tmp_path / "a.dcm")
    assert header.missing == missing


@pytest.mark.parametrize(
    ("value", "number"),
    [("1.5", 1.5), (2, 2.0), (None, None), ("x", None), ("nan", None), ("1e999", None), ([], None)],
)
def test_numbers_are_finite_or_none(value: object, number: float | None) -> None:
    assert parse_number(value) == number


def test_the_heart_rate_is_the_median_of_all_images(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, Any]:
        body = {"PatientSex": "F", "PatientSize": "1.70", "PatientWeight": "0"}
        return {**body, "NominalInterval": "1000" if z < 4 else "750"}

    ((case,), _) = discover([write_cine(tmp_path / "cine", change=change)])
    assert case.series is not None
    info = case.series.info
    assert (info.sex, info.height_cm, info.weight_kg) == ("F", 170, None)
    assert info.heart_rate_bpm == 60


def test_files_that_are_damaged_or_no_images_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_cine(tmp_path / "cine")
    report = image(0, 0, Modality="SR", Rows=None, Columns=None, PixelData=None)
    save(report, folder / "report.dcm")
    (folder / "damaged.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\0\0\0UL\4\0" + b"\xff" * 50)
    packed = image(0, 0)
    packed.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    cut = save(packed, folder / "cut.dcm")
    cut.write_bytes(cut.read_bytes()[:-40])
    (folder / "notes.txt").write_text("not DICOM")
    assert read_study(folder).voxels.shape[:2] == (8, 6)
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("ctct")]
    assert messages == [f"{folder}: 2 files cannot be read as DICOM; skipped"]


DEFLATED, PLAIN_SYNTAX = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1"


def meta_element(number: int, vr: bytes, value: bytes) -> bytes:
    """An element of the file meta information (PS3.10, 7.1), in explicit VR."""
    value += bytes(len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return struct.pack("<HH", 2, number) + vr + length + value


def implicit_element(number: int, value: bytes) -> bytes:
    value += bytes(len(value) % 2)
    return struct.pack("<HHI", 2, number, len(value)) + value


@pytest.mark.parametrize(
    "meta",
    [
        meta_element(0x10, b"UI", DEFLATED),
        meta_element(0x1, b"OB", bytes(5000)) + meta_element(0x10, b"UI", DEFLATED),
        meta_element(0x0, b"UL", bytes(4)) + meta_element(0x10, b"UI", DEFLATED),  # wrong length
        b"".join(meta_element(n, b"SH", b"x" * 9000) for n in (0x13, 0x16, 0x17))
        + meta_element(0x10, b"UI", DEFLATED),  # not in the order of the tags
        implicit_element(0x2, b"1.2" * 999) + implicit_element(0x10, DEFLATED),
        meta_element(0x10, b"UI", PLAIN_SYNTAX) + meta_element(0x10, b"UI", DEFLATED),
        meta_element(0x10, b"UI", DEFLATED + b" "),
    ],
    ids=["short", "long", "wrong length", "unordered", "implicit", "twice", "padded"],
)
def test_a_deflated_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, meta: bytes) -> None:
    path = tmp_path / "a.dcm"
    packed = zlib.compress(bytes(10**8), wbits=-15)  # 97 kB
    path.write_bytes(bytes(128) + b"DICM" + meta + packed)
    tracemalloc.start()
    with Opener() as opener, pytest.raises(ValueError, match="deflated, and damaged or more than"):
        read_dataset(opener, DicomFile(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 * len(packed)


def test_a_deflated_cine_is_read(tmp_path: Path) -> None:
    for t in range(6):
        for z in range(5):
            one = image(t, z)
            one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            save(one, tmp_path / f"{t}_{z}")
    expected = [[frame(t, z) for z in range(5)] for t in range(6)]
    np.testing.assert_array_equal(read_study(tmp_path).voxels, expected)
    (tmp_path / "0_0").write_bytes((tmp_path / "0_0").read_bytes()[:-40])
    with Opener() as opener, pytest.raises(ValueError, match="deflated, and damaged"):
        read_dataset(opener, DicomFile(tmp_path / "0_0"))


def test_only_the_transfer_syntax_says_that_a_data_set_is_deflated(tmp_path: Path) -> None:
    dataset = image(0, 0, SeriesDescription=DEFLATED.decode())
    dataset.file_meta.ImplementationVersionName = "1.2.1.99"
    dataset.file_meta.PrivateInformationCreatorUID = DEFLATED.decode()
    dataset.file_meta.PrivateInformation = DEFLATED
    (header,) = headers(dataset, tmp_path / "a.dcm")
    assert header.description == DEFLATED.decode()


FRAMES = (0x5200, 0x9230)  # PerFrameFunctionalGroupsSequence
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)


def sequence(tag: tuple[int, int], items: bytes, length: int | None = None) -> bytes:
    """A sequence in explicit VR."""
    return struct.pack("<HH2s2xI", *tag, b"SQ", len(items) if length is None else length) + items


def nested(depth: int) -> bytes:
    """Sequences in sequences, all of undefined length."""
    begin = sequence((0x18, 0x9114), struct.pack("<HHI", *ITEM, 2**32 - 1), 2**32 - 1)
    return begin * depth + struct.pack("<HHIHHI", *ITEM_END, 0, *SEQUENCE_END, 0) * depth


class TestHostile:
    """Headers that would take minutes to read."""

    @staticmethod
    def read(path: Path, addition: bytes) -> None:
        save(image(0, 0, PixelData=None), path)
        path.write_bytes(path.read_bytes() + addition)
        with Opener() as opener:
            read_dataset(opener, DicomFile(path), stop_before_pixels=True)

    @pytest.mark.parametrize("is_length_known", [True, False])
    @pytest.mark.parametrize("item", [struct.pack("<HHI", *ITEM, 0), nested(1)])
    def test_millions_of_items(self, tmp_path: Path, item: bytes, is_length_known: bool) -> None:
        items = item * 2_000_000
        length = len(items) if is_length_known else 2**32 - 1
        with pytest.raises(ValueError, match="2000000 items of sequences, the limit is 300000"):
            self.read(tmp_path / "a.dcm", sequence(FRAMES, items, length))

    def test_more_frames_than_the_file_can_hold(self, tmp_path: Path) -> None:
        items = struct.pack("<HHI", *ITEM, 0) * 1200  # a frame of the image has 2880 bytes
        with pytest.raises(ValueError, match=r"1200 frames, a file of .* bytes can hold 1000"):
            self.read(tmp_path / "a.dcm", sequence(FRAMES, items))
        self.read(tmp_path / "a.dcm", sequence(FRAMES, items[: 8 * 1000]))

    def test_thousands_of_small_frames(self, tmp_path: Path) -> None:
        items = struct.pack("<HHI", *ITEM, 0) * 11_000
        pixels = struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OW", 2880 * 11_000) + bytes(2880 * 11_000)
        with pytest.raises(ValueError, match=r"11000 frames, .* can hold 10000"):
            self.read(tmp_path / "a.dcm", sequence(FRAMES, items) + pixels)

    @pytest.mark.parametrize("depth", [500, 90_000])
    def test_sequences_in_sequences(self, tmp_path: Path, depth: int) -> None:
        with pytest.raises((RecursionError, ValueError)):
            self.read(tmp_path / "a.dcm", nested(depth))

    def test_frames_without_description(self, tmp_path: Path) -> None:
        dataset = enhanced(2, 3)
        dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:5]
        path = save(dataset, tmp_path / "a.dcm")
        with Opener() as opener, pytest.raises(ValueError, match="6 frames, of which 5 are descri"):
            read_dataset(opener, DicomFile(path))
