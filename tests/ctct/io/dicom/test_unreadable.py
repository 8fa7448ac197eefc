"""Files beside a series that should be images of it and cannot be read."""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import frame, image, save, write_cine, zip_folder
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import ImplicitVRLittleEndian

from ctct.cases.discover import discover
from ctct.cases.read import read_case, read_study
from ctct.errors import InputError

EXPECTED = np.array([[frame(t, z) for z in range(6)] for t in range(8)], np.float32)
NOTE = "files that are missing or cannot be read: 8, named in run.json; copy them again"


def end_slice(folder: Path) -> list[Path]:
    """The files of the last slice; their InstanceNumbers are 501 to 508."""
    return [path for path in folder.iterdir() if dcmread(path).InstanceNumber > 500]


def bare(dataset: Dataset) -> bytes:
    """A data set without preamble and meta information."""
    stream = io.BytesIO()
    dataset.save_as(stream)
    content = stream.getvalue()
    (length,) = struct.unpack_from("<I", content, 140)  # of the meta information that follows
    return content[144 + length :]


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("everywhere", [False, True])
def test_files_without_preamble_and_meta_information_are_read(
    tmp_path: Path, implicit: bool, everywhere: bool
) -> None:
    folder = write_cine(tmp_path / "cine")
    for path in list(folder.iterdir()) if everywhere else end_slice(folder):
        dataset = dcmread(path)
        if implicit:
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        path.write_bytes(bare(dataset))
    study = read_study(folder)
    np.testing.assert_array_equal(study.voxels, EXPECTED)
    assert study.notes == ()
    np.testing.assert_array_equal(
        read_study(zip_folder(folder, tmp_path / "a.zip")).voxels, EXPECTED
    )


@pytest.mark.parametrize(
    ("damage", "ending"),
    [
        (lambda content: b"", ""),
        (lambda content: b"", ".dcm"),
        (lambda content: b"", ".gz"),
        (lambda content: bytes(len(content)), ".dcm"),  # a sparse copy
        (lambda content: content[:300], ""),  # within the header
        (lambda content: content[60:], ".dcm"),
        (lambda content: b"<html>404 not found</html>", ".part"),
    ],
)
def test_files_of_an_end_slice_are_counted_and_named(
    tmp_path: Path, damage: Callable[[bytes], bytes], ending: str
) -> None:
    folder = write_cine(tmp_path / "cine")
    lost = end_slice(folder)
    for path in list(folder.iterdir()):
        content = path.read_bytes()
        path.unlink()
        name = path.name + (ending if ending in ("", ".dcm") or path in lost else "")
        (folder / name).write_bytes(damage(content) if path in lost else content)
    ((case,), _) = discover([folder])
    assert sorted(case.unreadable) == sorted(f"{path}{ending}" for path in lost)
    assert read_case(case).notes == (NOTE,)
    ((packed,), _) = discover([zip_folder(folder, tmp_path / "a.zip")])
    assert len(packed.unreadable) == 8
    assert read_case(packed).notes == (NOTE,)


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_images_filled_up_with_zeros_are_counted(tmp_path: Path, kept: float) -> None:
    """An interrupted copy into a file that has its final size already."""
    folder = write_cine(tmp_path / "cine")
    for path in end_slice(folder):
        dataset = dcmread(path)
        length = len(dataset.PixelData)
        dataset.PixelData = dataset.PixelData[: int(kept * length)].ljust(length, b"\0")
        save(dataset, path)
    assert read_study(folder).notes == (
        "images that are blank, or blank from some row on: 8; copy them again",
    )


def test_a_slice_in_another_folder_of_the_study_is_counted(tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "study" / "a")
    (tmp_path / "study" / "b").mkdir()
    for path in end_slice(folder):
        path.rename(tmp_path / "study" / "b" / path.name).write_bytes(b"")
    assert read_study(tmp_path).notes == (NOTE,)


def test_a_series_per_slice_in_folders_of_their_own(tmp_path: Path) -> None:
    for z in range(6):
        uid = {"SeriesInstanceUID": f"1.6.{z}", "SeriesNumber": z}
        write_cine(tmp_path / "p" / str(z), 8, 6, lambda t, at, z=z, u=uid: u if at == z else None)
    for path in (tmp_path / "p" / "5").iterdir():
        path.write_bytes(b"")
    assert read_study(tmp_path).notes == (NOTE,)


def test_other_files_do_not_count(tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "cine")
    for name in ("README", "DONE", "Thumbs.db", "IM1.jpg", "notes2.txt", "DICOMDIR", ".IM7"):
        (folder / name).write_bytes(b"" if name == "DONE" else b"no image")
    report = image(0, 0, Modality="SR", Rows=None, Columns=None, PixelData=None)
    save(report, folder / "IM99")
    assert read_study(folder).notes == ()


def test_damage_at_one_patient_is_no_note_at_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in (1, 2):
        uids = {"StudyInstanceUID": f"1.3.{n}", "SeriesInstanceUID": f"1.4.{n}"}
        write_cine(tmp_path / f"p{n}" / "sax", change=lambda t, z, u=uids: u)
    (tmp_path / "p3" / "sax").mkdir(parents=True)
    (tmp_path / "p3" / "sax" / "IM1").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "p2" / "sax" / "IM500").write_bytes(b"")
    cases, _ = discover([tmp_path])
    assert [case.name for case in cases] == ["p1_sax", "p2_sax", "p3_sax"]
    assert [len(case.unreadable) for case in cases] == [0, 1, 0]
    assert f"{tmp_path / 'p3' / 'sax'}: 1 files cannot be read as DICOM" in caplog.text


@pytest.mark.parametrize("packed", [False, True])
def test_a_scan_whose_files_are_all_lost_is_a_case_that_fails(tmp_path: Path, packed: bool) -> None:
    for n in (0, 1):
        uids = {"StudyInstanceUID": f"1.3.{n}", "SeriesInstanceUID": f"1.4.{n}"}
        write_cine(tmp_path / f"p{n}", change=lambda t, z, u=uids: u)
    lost = tmp_path / "p2"
    lost.mkdir()
    (lost / "IM1").write_bytes(bytes(128) + b"DICM")
    (lost / "IM2.dcm").write_bytes(b"")
    if packed:
        lost = zip_folder(lost, tmp_path / "a.zip")
        shutil.rmtree(tmp_path / "p2")
    cases, _ = discover([tmp_path])
    assert [read_case(case).notes for case in cases if case.series] == [(), ()]
    (failing,) = (case for case in cases if not case.series)
    with pytest.raises(InputError, match=f"{lost.name}: its files cannot be read as DICOM"):
        read_case(failing)


def test_a_damaged_zip_in_a_folder_is_a_case_that_fails(tmp_path: Path) -> None:
    zip_folder(write_cine(tmp_path / "cine"), tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-300])
    cases, _ = discover([tmp_path])
    assert [case.name for case in cases] == ["a", "b", "cine"]
    with pytest.raises(InputError, match="not a usable zip"):
        read_case(cases[1])


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_a_dicomdir_lists_and_that_are_not_there(tmp_path: Path, packed: bool) -> None:
    write_cine(tmp_path / "cine")
    files = FileSet()
    for path in (tmp_path / "cine").iterdir():
        files.add(path)
    disc = tmp_path / "disc"
    files.write(disc)
    images = [path for path in disc.rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    for path in images:
        if dcmread(path).InstanceNumber > 500:
            path.unlink()
        else:
            path.rename(path.with_name(path.name.lower()))
    scan = zip_folder(disc, tmp_path / "a.zip") if packed else disc / "DICOMDIR"
    ((case,), _) = discover([scan])
    assert len(case.unreadable) == 8
    assert read_case(case).notes == (NOTE,)
    ((part,), _) = discover([images[0].parent])
    assert part.unreadable == ()
