from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom")
from dicom_support import image, save

from ctct.io.dicom.files import DicomFile
from ctct.io.dicom.header import read_headers
from ctct.io.dicom.identifiers import read_identifiers
from ctct.io.dicom.series import Series


def write_series(path: Path, **changes: Any) -> Series:
    return Series(tuple(read_headers([DicomFile(save(image(0, 0, **changes), path))])[0]))


def test_name_id_and_date(tmp_path: Path) -> None:
    series = write_series(tmp_path / "a.dcm", PatientName="Doe^Jane  Mary")
    assert read_identifiers(series) == {
        "patient name": "Doe^Jane Mary",
        "patient ID": "ID-4711",
        "study date": "2020-01-01",
    }


def test_what_the_header_lacks_is_empty_and_an_odd_date_unchanged(tmp_path: Path) -> None:
    series = write_series(tmp_path / "a.dcm", PatientName=None, PatientID="", StudyDate="20201301")
    assert read_identifiers(series) == {
        "patient name": "",
        "patient ID": "",
        "study date": "20201301",
    }


def test_a_file_that_is_gone_gives_none_and_no_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series = write_series(tmp_path / "a.dcm")
    (tmp_path / "a.dcm").unlink()
    assert read_identifiers(series) == {}
    assert caplog.messages == [f"{tmp_path}: identifiers cannot be read (FileNotFoundError)"]
