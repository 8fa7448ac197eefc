"""Taking out of a message what identifies a patient, a study or an image."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ctct.node.hashes import hash_uid

_UID = re.compile(r"(?<![\w.])[0-2](?:\.\d+){3,}(?![\w.])")
#: Attributes whose values, and parts of values, no message may hold.
_IDENTIFYING = (
    *("PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthDate"),
    *("PatientAddress", "PatientTelephoneNumbers", "AccessionNumber", "StudyID", "StudyDate"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "InstitutionName"),
    *("RequestingPhysician", "EthnicGroup", "Occupation"),
)
REMOVED = "[…]"
#: What a message says where it cannot be told what identifies the patient.
UNKNOWN = "the reason may identify the patient and was left out"


def identifying_values(paths: Iterable[Path], max_files: int = 20) -> set[str] | None:
    """Values of headers that identify a patient; None where no header can be read."""
    from pydicom import dcmread

    values: set[str] = set()
    is_read = False
    for path in list(paths)[:max_files]:
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=[*_IDENTIFYING])
            values |= {str(element.value) for element in header if element.value}
            is_read = True
        except Exception:  # damage can make pydicom raise any exception
            continue
    return values if is_read else None


def redact(message: str, values: Iterable[str]) -> str:
    """The message without the values and their parts, and with a hash for each UID.

    >>> redact("cannot read 'Doe^Jane' of 1.2.840.1", ["Doe^Jane"])
    "cannot read '[…]' of f9a13599155b7052"
    """
    parts = {part for value in values for part in (value, *re.split(r"[\^=\\\s,\[\]']+", value))}
    for part in sorted(filter(_is_telling, parts), key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", REMOVED, message, flags=re.IGNORECASE)
    return _UID.sub(lambda found: hash_uid(found[0]), message)


def _is_telling(part: str) -> bool:
    return len(part) > 1
