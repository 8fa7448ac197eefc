"""What the objects of a study take over from its images, and their UIDs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import image, save, write_cine
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ctct.cases.discover import discover
from ctct.io.dicom.instances import (
    creation_time,
    derive_uid,
    encode,
    fingerprint,
    read_uid,
    study_attributes,
)


def test_equal_parts_give_equal_uids_and_no_others() -> None:
    assert derive_uid("a", "bc") == derive_uid("a", b"bc")
    assert len({derive_uid("a", "bc"), derive_uid("ab", "c"), derive_uid("abc")}) == 3
    uid = derive_uid("a")
    assert uid.startswith("2.25.")
    assert len(uid) <= 64
    assert int(uid.removeprefix("2.25.")) < 2**128


def test_a_fingerprint_tells_labels_shape_series_and_de_identification(tmp_path: Path) -> None:
    write_cine(tmp_path / "a", 6, 5)
    write_cine(tmp_path / "b", 6, 5, lambda t, z: {"SeriesInstanceUID": "1.9", "StudyID": "2"})
    (one,), _ = discover([tmp_path / "a"])
    (other,), _ = discover([tmp_path / "b"])
    assert one.series and other.series
    labels = np.zeros((6, 5, 4, 3), np.uint8)
    changed = labels.copy()
    changed[5, 4, 3, 2] = 1
    known = {
        fingerprint(one.series, labels),
        fingerprint(one.series, changed),
        fingerprint(one.series, labels.reshape(6, 5, 3, 4)),
        fingerprint(one.series, labels, de_identify=True),
        fingerprint(other.series, labels),
    }
    assert len(known) == 5
    assert fingerprint(one.series, labels.copy()) in known


def test_patient_and_study_are_copied_as_they_are() -> None:
    issuer = Dataset()
    issuer.PatientID, issuer.TypeOfPatientID = "9", "TEXT"
    given = {
        **{"IssuerOfPatientID": "Clinic", "PatientAge": "070Y", "PatientSize": "1.8"},
        **{"StudyDescription": "Heart", "PatientWeight": "80", "PatientIdentityRemoved": "YES"},
        **{"PatientSpeciesDescription": "Sus scrofa", "OtherPatientNames": ["A^B", "C^D"]},
        **{"AccessionNumber": "7", "PatientSex": "F", "PatientBirthDate": "19500101"},
        "OtherPatientIDsSequence": Sequence([issuer]),
    }
    attributes = study_attributes(image(0, 0, **given))
    assert {name: attributes[name].value for name in given} == {
        name: image(0, 0, **given)[name].value for name in given
    }
    assert (attributes.PatientName, attributes.StudyInstanceUID) == ("Doe^Jane", "1.2")
    assert "SeriesInstanceUID" not in attributes


def test_text_in_sequences_is_decoded(tmp_path: Path) -> None:
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "Müller", "TEXT"
    source = image(0, 0, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    source.OtherPatientIDsSequence = Sequence([item])
    read = dcmread(save(source, tmp_path / "a.dcm"))
    written = dcmread(io.BytesIO(encode(image(0, 0), study_attributes(read))))
    assert written.SpecificCharacterSet == "ISO_IR 192"
    assert written.PatientName == "Müller^Jörg"
    assert written.OtherPatientIDsSequence[0].PatientID == "Müller"


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_what_the_standard_forbids_is_left_out() -> None:
    strange = {"PatientBirthDate": "00000000", "PatientSex": "male", "PatientAge": "70"}
    attributes = study_attributes(image(0, 0, PatientName=None, **strange))
    assert (attributes.PatientBirthDate, attributes.PatientSex) == ("", "")
    assert attributes.PatientName == ""
    assert "PatientAge" not in attributes
    with pytest.raises(ValueError, match="TM"):
        study_attributes(image(0, 0, StudyTime="at noon"))
    with pytest.raises(AttributeError, match="the images lack StudyInstanceUID"):
        study_attributes(image(0, 0, StudyInstanceUID=None))


def test_de_identified_attributes_hold_the_uid_of_the_study_alone() -> None:
    attributes = study_attributes(image(0, 0, StudyDescription="Heart", PatientWeight="80"), True)
    values = {element.keyword: element.value for element in attributes if element.value}
    assert values == {"SpecificCharacterSet": "ISO_IR 192", "StudyInstanceUID": "1.2"}


def test_the_time_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86399")  # a second before the second day of 1970
    assert creation_time().strftime("%Y%m%d %H%M%S") == "19700101 235959"
    written = dcmread(io.BytesIO(encode(image(0, 0), study_attributes(image(0, 0)))))
    assert (written.ContentDate, written.InstanceCreationTime) == ("19700101", "235959")
    assert written.StudyDate == "20200101"


def test_the_uid_of_what_is_no_file_of_dicom_is_empty(tmp_path: Path) -> None:
    whole = image(0, 0)
    assert read_uid(save(whole, tmp_path / "a.dcm")) == whole.SOPInstanceUID
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "text.dcm").write_text("no")
    for name in ("empty.dcm", "text.dcm", "missing.dcm"):
        assert read_uid(tmp_path / name) == ""
