"""Who and when a DICOM series is of: read for those who ask for it alone."""

from __future__ import annotations

import logging
from datetime import datetime

from ctct.io.dicom.files import Opener
from ctct.io.dicom.header import read_dataset
from ctct.io.dicom.quiet import quiet
from ctct.io.dicom.series import Series

log = logging.getLogger(__name__)

#: What an identifier is called in results, and in the header (PS3.6).
IDENTIFIERS = {
    "patient name": "PatientName",
    "patient ID": "PatientID",
    "study date": "StudyDate",
}


def read_identifiers(series: Series) -> dict[str, str]:
    """Name, number and date of study, "" where the header lacks it; nothing if it is damaged."""
    try:
        with Opener() as opener, quiet:
            tags = list(IDENTIFIERS.values())
            header = read_dataset(
                opener, series.first.file, stop_before_pixels=True, specific_tags=tags
            )
            found = {name: str(header.get(tag) or "") for name, tag in IDENTIFIERS.items()}
    except Exception as error:  # pydicom raises whatever a damaged file leads it to
        log.warning("%s: identifiers cannot be read (%s)", series.path, type(error).__name__)
        return {}
    found = {name: " ".join(value.split()) for name, value in found.items()}
    return {**found, "study date": _iso(found["study date"])}


def _iso(value: str) -> str:
    """A date of DICOM as YYYY-MM-DD, anything else as it is."""
    try:
        return datetime.strptime(value, "%Y%m%d").date().isoformat()
    except ValueError:
        return value
