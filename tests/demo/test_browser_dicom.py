"""DICOM as the page in the browser reads it, against Python."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from browser_site import npm_packages
from browser_support import call_all
from dicom_support import (
    NORMAL,
    ORIGIN,
    ROW,
    enhanced,
    image,
    packed,
    save,
    write_cine,
    zip_folder,
)
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from ctct.cases.read import read_study
from ctct.demo.static_page import bundle
from ctct.io.nifti import encode_labels

Change = Callable[[int, int], dict[str, Any] | None]


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the page's reader as one file."""
    import ctct.demo

    folder = tmp_path_factory.mktemp("reader")
    source = Path(next(iter(ctct.demo.__path__))) / "browser" / "src" / "input.js"
    bundle([source], npm_packages(), folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return (folder / "input.js").as_uri()


def files_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [{"name": f"{folder.name}/{p.name}", "bytes": p.read_bytes()} for p in paths]


def other_position(place: int, mm: float) -> list[str]:
    return [f"{v:.5f}" for v in ORIGIN + (8.0 * place + mm) * NORMAL]


SAME: dict[str, Change] = {
    "regular": lambda t, z: {},
    "by instance number": lambda t, z: {"TriggerTime": None},
    "a series per slice": lambda t, z: {"SeriesInstanceUID": f"1.2.{z}", "SeriesNumber": z},
    "scaled": lambda t, z: {"RescaleSlope": "1.7", "RescaleIntercept": "-33"},
    "inverted": lambda t, z: {"PhotometricInterpretation": "MONOCHROME1"},
    "padded": lambda t, z: {"PixelPaddingValue": -1000},
    "slices shifted a little": lambda t, z: {
        "ImagePositionPatient": other_position(z, 0.4 if z == 2 else 0.0)
    },
    "late enhancement by name": lambda t, z: {"SeriesDescription": "LGE short axis"},
    "an inversion pulse": lambda t, z: {"InversionTime": 300, "EchoTime": 12},
    "more images expected": lambda t, z: {"ImagesInAcquisition": 60, "CardiacNumberOfImages": 12},
    "another spacing stated": lambda t, z: {
        "SpacingBetweenSlices": 3,
        "ReconstructionDiameter": 90,
    },
    "thick slices": lambda t, z: {"SliceThickness": 14},
    "named as a long axis": lambda t, z: {"SeriesDescription": "cine 4ch"},
    "a frame without content": lambda t, z: {"PerFrameFunctionalGroupsSequence": [Dataset()]},
    "clocks that contradict": lambda t, z: {
        "TriggerTime": None,
        "ContentTime": f"1200{59 - t:02d}",
    },
}


@pytest.mark.parametrize("kind", SAME)
def test_a_series_is_read_as_in_python(kind: str, reader: str, tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "cine", change=SAME[kind])
    (got,) = call_all(("", "readFiles", [reader, files_of(folder)]))
    expected = read_study(folder)
    assert not isinstance(got, str), got
    assert got["shape"] == list(expected.voxels.shape)
    np.testing.assert_array_equal(got["voxels"].reshape(expected.voxels.shape), expected.voxels)
    np.testing.assert_allclose(got["affine"], expected.affine[:3], atol=1e-9)
    np.testing.assert_allclose(got["spacingMm"], expected.spacing_mm)
    np.testing.assert_allclose(got["sliceSpacingMm"], expected.slice_spacing_mm)
    assert sorted(got["notes"]) == sorted(expected.notes)
    labels = (np.abs(expected.voxels) % 4).astype(np.uint8)
    mine = nib.Nifti1Image.from_bytes(got["encoded"].tobytes())
    theirs = nib.Nifti1Image.from_bytes(_gunzip(encode_labels(expected, labels)))
    np.testing.assert_array_equal(np.asarray(mine.dataobj), np.asarray(theirs.dataobj))
    np.testing.assert_allclose(mine.affine, theirs.affine)
    np.testing.assert_allclose(mine.get_qform(), theirs.get_qform(), atol=1e-4)
    np.testing.assert_allclose(mine.header.get_zooms(), theirs.header.get_zooms(), rtol=1e-6)


def _gunzip(content: bytes) -> bytes:
    return gzip.decompress(content)


def test_a_zip_is_read_as_the_folder(reader: str, tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "cine")
    (folder / "readme.txt").write_text("no image")
    archive = zip_folder(folder, tmp_path / "cine.zip")
    from_zip, from_folder = call_all(
        ("", "readFiles", [reader, [{"name": "cine.zip", "bytes": archive.read_bytes()}]]),
        ("", "readFiles", [reader, files_of(folder)]),
    )
    np.testing.assert_array_equal(from_zip["voxels"], from_folder["voxels"])
    assert from_zip["name"] == from_folder["name"] == "cine"
    assert from_zip["notes"] == []


def nifti(seed: int = 0) -> bytes:
    voxels = np.random.default_rng(seed).integers(0, 900, (40, 36, 5)).astype(np.int16)
    return nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 8, 1])).to_bytes()


def test_ed_and_es_in_two_files_are_frames_of_one_scan(reader: str) -> None:
    ed, es = nifti(0), nifti(1)
    (got,) = call_all(("", "readFiles", [reader, [_file("P1_ES.nii", es), _file("P1_ED.nii", ed)]]))
    assert not isinstance(got, str), got
    assert (got["name"], got["shape"]) == ("P1", [2, 5, 36, 40])
    assert got["given"] == {"ed": 0, "es": 1}
    voxels = got["voxels"].reshape(got["shape"])
    for t, content in enumerate((ed, es)):
        image = nib.Nifti1Image.from_bytes(content)
        np.testing.assert_array_equal(voxels[t], np.asarray(image.dataobj).transpose(2, 1, 0))
    written = nib.Nifti1Image.from_bytes(got["encoded"].tobytes())
    assert written.shape == (40, 36, 5, 2)
    np.testing.assert_allclose(written.affine, np.diag([1.5, 1.5, 8, 1]))


def test_frames_of_different_scans_are_not_joined(reader: str) -> None:
    moved = nib.Nifti1Image.from_bytes(nifti())
    moved.affine[0, 3] = 20
    other = nib.Nifti1Image(np.asarray(moved.dataobj), moved.affine).to_bytes()
    differ, two = call_all(
        ("", "readFiles", [reader, [_file("P_ED.nii", nifti()), _file("P_ES.nii", other)]]),
        ("", "readFiles", [reader, [_file("P1_ED.nii", nifti()), _file("P2_ES.nii", nifti(1))]]),
    )
    assert "P_ED and P_ES differ in size or place; give frames of one scan" in differ
    assert "several NIfTI files (P1_ED.nii, P2_ES.nii)" in two


def _file(name: str, content: bytes) -> dict[str, object]:
    return {"name": name, "bytes": content}


def zip_of(**content: bytes) -> list[dict[str, object]]:
    """A dropped zip; in the names of its files a double underscore stands for a point."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(f"export/{name.replace('__', '.')}", data)
    return [{"name": "export.zip", "bytes": packed.getvalue()}]


def test_a_nifti_file_in_a_zip_or_beside_its_label_map_is_read(reader: str) -> None:
    scan, packed = nifti(), gzip.compress(nifti())
    dropped = [
        [{"name": "p.nii", "bytes": scan}],
        zip_of(p__nii=scan),
        zip_of(p__nii__gz=packed, readme__txt=b"text"),
        zip_of(p__nii__gz=packed, p_gt__nii__gz=packed),
        [{"name": f"in/{n}.nii", "bytes": nifti(seed)} for seed, n in enumerate(("p", "p_seg"))],
    ]
    first, *others = call_all(*(("", "readFiles", [reader, files]) for files in dropped))
    assert first["name"] == "p"
    for other in others:
        np.testing.assert_array_equal(other["voxels"], first["voxels"])
        assert (other["name"], other["shape"]) == ("p", first["shape"])


def test_scans_that_the_page_does_not_read_come_with_what_to_do(reader: str) -> None:
    several = zip_of(a__nii=nifti(), b__nii=nifti(1))
    messages = call_all(
        *(
            ("", "readFiles", [reader, files])
            for files in (
                several,
                [{"name": "scan.MHA", "bytes": b"ObjectType = Image"}],
                zip_of(scan__nrrd=b"NRRD0004"),
                [{"name": f"in/{n}", "bytes": b"ObjectType"} for n in ("a.mhd", "a.raw")],
            )
        )
    )
    remedy = (
        "files are not read by this page; use ctct predict, which reads them, or convert the scan"
    )
    assert "several NIfTI files (a.nii, b.nii); drop one scan at a time" in messages[0]
    assert f"MetaImage {remedy}" in messages[1]
    assert f"NRRD {remedy}" in messages[2]
    assert f"MetaImage {remedy}" in messages[3]


def damage_pixels(content: bytearray) -> None:
    at = content.index(image(0, 0).PixelData[:20]) + 1000
    content[at : at + 50] = bytes(50)


def damage_list(content: bytearray) -> None:
    at = content.index(b"PK\x01\x02") + 28  # length of the first name in the list at the end
    content[at : at + 2] = b"\xff\xff"


def damage_sum(content: bytearray) -> None:
    content[content.index(b"PK\x01\x02") + 16] ^= 1


@pytest.mark.parametrize("damage", [damage_pixels, damage_list, damage_sum])
def test_a_zip_whose_files_differ_from_their_check_sums_is_refused(
    damage: Callable[[bytearray], None], reader: str, tmp_path: Path
) -> None:
    archive = tmp_path / "cine.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed_files:
        for path in sorted(write_cine(tmp_path / "cine").iterdir()):
            packed_files.write(path, path.name)
    content = bytearray(archive.read_bytes())
    damage(content)
    files = [{"name": "cine.zip", "bytes": bytes(content)}]
    (answer,) = call_all(("", "readFiles", [reader, files]))
    assert "the zip is damaged or encrypted; zip the folder again" in answer


class Stream(io.BytesIO):
    """Cannot go back, so a zip gets the check sums behind the files."""

    def seek(self, *position: int) -> int:
        raise OSError


def test_a_zip_written_as_a_stream_is_read(reader: str, tmp_path: Path) -> None:
    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in write_cine(tmp_path / "cine").iterdir():
            with archive.open(f"Übung/{path.name}", "w", force_zip64=True) as member:
                member.write(path.read_bytes())
    files = [{"name": "cine.zip", "bytes": stream.getvalue()}]
    (answer,) = call_all(("", "readFiles", [reader, files]))
    assert answer["notes"] == []


#: What the page refuses, and a part of its reason.
REFUSED: dict[str, tuple[Change, str]] = {
    "a phase is missing": (lambda t, z: None if (t, z) == (3, 2) else {}, "phases are missing"),
    "a slice is missing": (lambda t, z: None if z == 2 else {}, "some are missing"),
    "no order": (lambda t, z: {"TriggerTime": None, "InstanceNumber": 1}, "tells the phases"),
    "two cines": (
        lambda t, z: {"SeriesInstanceUID": f"1.{t % 2}", "SeriesNumber": t % 2},
        "phases in one series",
    ),
    "no position": (lambda t, z: {"ImagePositionPatient": None}, "ImagePositionPatient"),
    "of CT": (lambda t, z: {"Modality": "CT"}, "no MR cine"),
    "phase maps": (lambda t, z: {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "no MR cine"),
    "cut short": (lambda t, z: {"PixelData": b"\x00" * 100} if t == z == 1 else {}, "too early"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_irregular_series_is_refused_with_a_reason(
    kind: str, reader: str, tmp_path: Path
) -> None:
    change, reason = REFUSED[kind]
    folder = write_cine(tmp_path / "cine", change=change)
    (got,) = call_all(("", "readFiles", [reader, files_of(folder)]))
    assert isinstance(got, str) and reason in got, got


def test_the_series_named_short_axis_is_taken_as_in_python(reader: str, tmp_path: Path) -> None:
    axes = [f"{v:.6f}" for v in (*NORMAL, *ROW)]
    write_cine(tmp_path / "both" / "a", change=lambda t, z: {"SeriesDescription": "cine SAX"})
    write_cine(
        tmp_path / "both" / "b",
        change=lambda t, z: {
            "SeriesInstanceUID": "9",
            "ImageOrientationPatient": axes,
            "ImagePositionPatient": [f"{v:.5f}" for v in ORIGIN + 8.0 * z * np.cross(NORMAL, ROW)],
        },
    )
    (got,) = call_all(("", "readFiles", [reader, files_of(tmp_path / "both")]))
    expected = read_study(tmp_path / "both")
    np.testing.assert_allclose(got["affine"], expected.affine[:3], atol=1e-9)
    assert got["notes"] == list(expected.notes)


def test_two_cines_of_a_study_are_a_choice_that_the_user_makes(reader: str, tmp_path: Path) -> None:
    write_cine(tmp_path / "both" / "a")
    write_cine(tmp_path / "both" / "b", change=lambda t, z: {"SeriesInstanceUID": "9"})
    (got,) = call_all(("", "readFiles", [reader, files_of(tmp_path / "both")]))
    assert isinstance(got, str) and "several cines" in got


def test_compressed_and_enhanced_files_are_named_as_such(reader: str, tmp_path: Path) -> None:
    save(enhanced(), tmp_path / "enhanced" / "one.dcm")
    for phase in range(8):
        for place in range(6):
            one = packed(JPEGBaseline8Bit, b"\xff\xd8\xff\xd9", phase=phase, place=place)
            save(one, tmp_path / "jpeg" / f"{phase}-{place}.dcm")
    got = call_all(
        *(("", "readFiles", [reader, files_of(tmp_path / name)]) for name in ("enhanced", "jpeg"))
    )
    assert "enhanced multi-frame" in got[0]
    assert "pixels are compressed" in got[1]


def test_a_single_image_says_what_to_do(reader: str, tmp_path: Path) -> None:
    content = files_of(write_cine(tmp_path / "cine"))[0]
    (got,) = call_all(("", "readFiles", [reader, [content]]))
    assert "one DICOM image of many; drop all images of the cine together" in got


def test_a_file_that_cannot_be_read_is_noted(reader: str, tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "cine")
    save(image(0, 7, "9.9"), folder / "other")
    (folder / "broken").write_bytes((folder / "other").read_bytes()[:700])
    (folder / "other").unlink()
    (got,) = call_all(("", "readFiles", [reader, files_of(folder)]))
    assert isinstance(got, str) or any("cannot be read: 1" in note for note in got["notes"]), got


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["dicom/vida_3t_whole_study.zip", "scd/SCD0000301.zip"])
def test_real_studies_are_read_as_in_python(
    name: str, reader: str, dicom_studies: Path, scd: Path
) -> None:
    path = dicom_studies.parent / name
    content = {"name": path.name, "bytes": path.read_bytes()}
    (got,) = call_all(("", "readFiles", [reader, [content]]))
    expected = read_study(path)
    np.testing.assert_array_equal(got["voxels"].reshape(expected.voxels.shape), expected.voxels)
    np.testing.assert_allclose(got["affine"], expected.affine[:3], atol=1e-9)
    assert got["notes"] == list(expected.notes)
    assert got["name"] == path.stem
