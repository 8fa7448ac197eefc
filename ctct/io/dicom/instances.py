"""What all DICOM objects that ctct writes have in common: UIDs, patient and study, time, bytes."""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ctct.io.dicom.series import Series

#: Attributes of patient and study that every object has; empty where the source lacks them.
REQUIRED = (
    *("AccessionNumber", "PatientBirthDate", "PatientID", "PatientName", "PatientSex"),
    *("ReferringPhysicianName", "StudyDate", "StudyID", "StudyTime"),
)
#: Attributes of patient and study that are copied where the source has them (PS3.3, C.7.1.1,
#: C.7.2.1 and C.7.2.2): archives match patients by the first ones, and show some of the others.
_OPTIONAL = (
    *("IssuerOfPatientID", "TypeOfPatientID", "OtherPatientIDsSequence", "OtherPatientNames"),
    *("PatientBirthTime", "EthnicGroup", "PatientComments", "PatientSpeciesDescription"),
    *("PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence"),
    *("BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole"),
    *("ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("DeidentificationMethodCodeSequence", "StudyDescription", "ProcedureCodeSequence"),
    *("IssuerOfAccessionNumberSequence", "PhysiciansOfRecord", "PatientAge", "PatientSize"),
    *("PatientWeight", "PatientSexNeutered"),
)
MAKER = "ctct"


def derive_uid(*parts: str | bytes) -> str:
    """A UID that is a hash of ``parts``: equal parts give equal UIDs (PS3.5, B.2)."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return f"2.25.{UUID(bytes=digest.digest()[:16], version=5).int}"


def fingerprint(series: Series, labels: npt.NDArray[np.uint8], de_identify: bool = False) -> str:
    """Tells the labels of a series from any others, for :func:`derive_uid`."""
    digest = hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()
    return f"{MAKER} {version('ctct')} {series.digest} {labels.shape} {digest} {de_identify}"


def study_attributes(header: Any, de_identify: bool = False) -> Any:
    """Patient and study of an image, for an object of the same study.

    Text is decoded, and to be encoded in UTF-8.

    Args:
        header: of the image.
        de_identify: leave out all but the UID of the study.

    Raises:
        AttributeError: the image does not say of which study it is.
        ValueError: the time of the study is impossible.
    """
    from pydicom.config import RAISE
    from pydicom.dataset import Dataset
    from pydicom.valuerep import validate_value

    if not header.get("StudyInstanceUID"):
        raise AttributeError("the images lack StudyInstanceUID")
    attributes = Dataset()
    attributes.SpecificCharacterSet = "ISO_IR 192"
    attributes.StudyInstanceUID = header.StudyInstanceUID
    for name in REQUIRED:
        value = None if de_identify else header.get(name)
        is_date_or_text = not name.endswith("Date") or is_date(value)
        setattr(attributes, name, value if value is not None and is_date_or_text else "")
    validate_value("TM", attributes.StudyTime, RAISE)
    if attributes.PatientSex not in ("M", "F", "O"):
        attributes.PatientSex = ""
    for name in () if de_identify else _OPTIONAL:
        if name in header:
            with suppress(ValueError):  # a value that the standard forbids
                setattr(attributes, name, _copy_value(header[name]))
    return attributes


def _copy_value(element: Any) -> Any:
    """A copy without bytes in the character set of the file; ValueError if it is not allowed."""
    from pydicom.config import RAISE
    from pydicom.multival import MultiValue
    from pydicom.valuerep import validate_value

    value = deepcopy(element.value)
    if element.VR == "SQ":
        for item in value:
            item.decode()
        return value
    for one in value if isinstance(value, MultiValue) else [value]:
        validate_value(element.VR, "" if one is None else str(one), RAISE)
    return value


def is_date(value: Any) -> bool:
    """Whether a date exists; anonymized dates may have a month or day of 0."""
    try:
        datetime.strptime(str(value), "%Y%m%d")
    except ValueError:
        return False
    return True


def creation_time() -> datetime:
    """Now; or what SOURCE_DATE_EPOCH says, for files that are equal byte by byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now()


def encode(dataset: Any, attributes: Any) -> bytes:
    """The file of an object, made now, of the patient and study of :func:`study_attributes`."""
    now = creation_time()
    dataset.update(attributes)
    for what in ("InstanceCreation", "Content"):
        setattr(dataset, f"{what}Date", now.strftime("%Y%m%d"))
        setattr(dataset, f"{what}Time", now.strftime("%H%M%S"))
    for maker in dataset.get("ContributingEquipmentSequence", ())[-1:]:  # highdicom, last of all
        maker.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def describe_failure(series: Series, kind: str, error: Exception) -> str:
    """Why an object of that kind cannot be made of a series, in one line that quotes no header."""
    reason = str(error) if isinstance(error, AttributeError) else type(error).__name__
    return (
        f"{series.path}: cannot be encoded as {kind} ({reason}); export it again, or leave it out "
        "of --format"
    )


def read_uid(content: Any) -> str:
    """SOPInstanceUID of a file, given its path or a stream; "" where it is no whole DICOM file."""
    from pydicom import dcmread

    try:
        return str(dcmread(content, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
    except Exception:  # damage can make pydicom raise any exception
        return ""
