"""The patient's identifiers in a DICOM series; read only on request."""

from __future__ import annotations

import logging
from datetime import datetime

from ctct.io.dicom.files import Opener
from ctct.io.dicom.header import read_dataset
from ctct.io.dicom.series import Series
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings

log = logging.getLogger(__name__)

#: Name of each identifier in results, and in the header (PS3.6).
IDENTIFIERS = {
    "patient name": "PatientName",
    "patient ID": "PatientID",
    "study date": "StudyDate",
}


def read_identifiers(series: Series) -> dict[str, str]:
    """Name and ID of the patient and date of the study, "" where missing; {} if unreadable."""
    try:
        with Opener() as opener, suppress_pydicom_warnings:
            tags = list(IDENTIFIERS.values())
            header = read_dataset(
                opener, series.first.file, stop_before_pixels=True, specific_tags=tags
            )
            values = {name: str(header.get(tag) or "") for name, tag in IDENTIFIERS.items()}
    except Exception as error:  # damage can make pydicom raise any exception
        log.warning("%s: identifiers cannot be read (%s)", series.path, type(error).__name__)
        return {}
    values = {name: " ".join(value.split()) for name, value in values.items()}
    return {**values, "study date": _iso_date(values["study date"])}


def _iso_date(value: str) -> str:
    """A DICOM date as YYYY-MM-DD; any other text unchanged."""
    try:
        return datetime.strptime(value, "%Y%m%d").date().isoformat()
    except ValueError:
        return value
