"""DICOM series in folders, zips and DICOMDIRs, among other scans."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tests_support import write_scan

pytest.importorskip("pydicom")
from dicom_support import write_cine, zip_folder
from pydicom.fileset import FileSet

from ctct.cases.discover import discover
from ctct.cases.read import read_case
from ctct.errors import ConfigError, InputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.prediction.scan_record import ScanRecord


def test_zip_folder_and_dicomdir_give_the_same_study(tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "x" / "y" / "cine")
    ((from_zip,), _) = discover([zip_folder(folder, tmp_path / "p1.zip")])
    ((nested,), _) = discover([tmp_path / "x"])
    files = FileSet()
    for file in folder.iterdir():
        files.add(file)
    files.write(tmp_path / "disc")
    ((listed,), _) = discover([tmp_path / "disc" / "DICOMDIR"])
    assert (from_zip.name, nested.name, listed.name) == (
        "p1",
        "y_cine",
        "PT000000_ST000000_SE000000",
    )
    read = [read_case(case) for case in (from_zip, nested, listed)]
    for other in read[1:]:
        np.testing.assert_array_equal(other.voxels, read[0].voxels)
    assert not any(tmp_path.glob("p1*/")), "a zip is unpacked in memory only"


def test_nifti_and_dicom_lie_in_one_folder(tmp_path: Path) -> None:
    write_scan(tmp_path / "b.nii.gz")
    folder = write_cine(tmp_path / "c")
    zip_folder(folder, tmp_path / "a.zip")
    cases, _ = discover([tmp_path])
    assert [case.name for case in cases] == ["a", "b", "c"]
    assert [read_case(case).slices for case in cases] == [6, 3, 6]


def test_names_are_those_of_folders_and_never_of_patients(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        uids = {"StudyInstanceUID": f"1.3.{patient[1]}", "SeriesInstanceUID": f"1.4.{patient[1]}"}
        write_cine(tmp_path / patient / "DICOM", change=lambda t, z, uids=uids: uids)
    cases, _ = discover([tmp_path])
    assert [case.name for case in cases] == ["p1_DICOM", "p2_DICOM"]
    for file in (tmp_path / "p1" / "DICOM").iterdir():
        file.rename(tmp_path / "p2" / "DICOM" / f"other{file.name}")
    cases, _ = discover([tmp_path])
    assert len({case.name for case in cases}) == len({case.identity for case in cases}) == 2
    assert [case.name for case in cases] == sorted(
        f"p2_DICOM_{case.series.digest[:8]}" for case in cases if case.series
    )
    assert not any("Doe" in case.name or "4711" in case.identity for case in cases)


def test_names_from_the_study_or_the_patient(tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "x", change=lambda t, z: {"PatientID": "ID/4711"})
    ((by_study,), _) = discover([folder], name_from="study")
    assert re.fullmatch("[0-9a-f]{16}", by_study.name)
    ((by_patient,), _) = discover([folder], name_from="patient")
    assert re.fullmatch("ID_4711_[0-9a-f]{12}", by_patient.name)
    other = {"PatientID": "", "StudyInstanceUID": "1.5", "SeriesInstanceUID": "1.6"}
    write_cine(tmp_path / "y", change=lambda t, z: other)
    with pytest.raises(ConfigError, match=r"/y: its header has no patient; use --name-from path"):
        discover([tmp_path], name_from="patient")
    other["PatientID"] = "ID/4711"
    write_cine(tmp_path / "y", change=lambda t, z: other)
    with pytest.raises(InputError, match=r"/x#\w+ and .*/y#\w+ would both be called"):
        discover([tmp_path], name_from="patient")


def test_relative_folders_have_their_real_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cine(tmp_path / "sax")
    (tmp_path / "sax" / "within").mkdir()
    monkeypatch.chdir(tmp_path / "sax" / "within")
    ((above,), _) = discover([".."])
    monkeypatch.chdir(tmp_path / "sax")
    ((here,), _) = discover(["."])
    assert above.name == here.name == "sax"


def test_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_cine(tmp_path / "cine")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(RuntimeUnavailableError, match=re.escape(how_to_install("dicom"))):
        discover([folder])
    write_scan(tmp_path / "scan.nii.gz")
    assert [case.name for case in discover([tmp_path])[0]] == ["scan"]


def test_the_identity_of_a_case_holds_no_uid(tmp_path: Path) -> None:
    ((case,), _) = discover([write_cine(tmp_path / "cine")])
    assert case.identity.startswith(f"{tmp_path / 'cine'}#")
    assert "1.2.3" not in case.identity


def test_a_series_with_more_images_has_other_content(tmp_path: Path) -> None:
    """Results of an interrupted copy are not taken for those of the whole series."""
    ((before,), _) = discover([write_cine(tmp_path / "cine", places=6)])
    record = ScanRecord.of(before)
    ((after,), _) = discover([write_cine(tmp_path / "cine", places=7)])
    assert (before.name, before.identity) == (after.name, after.identity)
    assert not record.is_untouched(after)
    assert not record.has_content_of(after)
