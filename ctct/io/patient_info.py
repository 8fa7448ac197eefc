"""The patient and frame in a file's name, and the entries of an ACDC ``Info.cfg``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FRAME = re.compile(r"(?P<patient>.+?)[_-]frame(?P<number>\d+)", re.IGNORECASE)
_ENTRY = re.compile(r"^\s*(\w+)\s*:\s*(\d+(?:\.\d+)?)\s*$", re.MULTILINE)


def patient_and_frame(name: str) -> tuple[str, int | None]:
    """Patient and frame number in ``<patient>_frame<NN>``; the number is None in any other name."""
    match = _FRAME.fullmatch(name)
    return (match["patient"], int(match["number"])) if match else (name, None)


@dataclass(frozen=True)
class PatientInfo:
    """A patient's entries in an ``Info.cfg`` of the ACDC layout or in DICOM; None where missing.

    Attributes:
        ed: number of the end-diastolic frame as in ``_frameNN``, from 1.
        es: number of the end-systolic frame as in ``_frameNN``, from 1.
        height_cm: height of the patient.
        weight_kg: weight of the patient.
        sex: "M" or "F".
        heart_rate_bpm: heart rate during the scan.
    """

    ed: int | None = None
    es: int | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    sex: str | None = None
    heart_rate_bpm: float | None = None


def read_patient_info(folder: Path) -> PatientInfo:
    """Read ``folder/Info.cfg``; without that file every entry is None."""
    try:
        text = (folder / "Info.cfg").read_text(errors="replace")
    except OSError:
        return PatientInfo()
    entries = {key: float(value) for key, value in _ENTRY.findall(text)}
    ed, es = (int(entries[key]) if key in entries else None for key in ("ED", "ES"))
    return PatientInfo(ed, es, entries.get("Height"), entries.get("Weight"))


def phase_indices(info: PatientInfo, numbers: Sequence[int]) -> tuple[int | None, int | None]:
    """Indices of the ED and ES frames of ``info`` in a list of frame numbers from 1."""
    ed, es = (
        numbers.index(n) if n is not None and n in numbers else None for n in (info.ed, info.es)
    )
    return ed, es
