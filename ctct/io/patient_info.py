"""The patient and frame in a file's name, and the entries of an ACDC ``Info.cfg``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ENTRY = re.compile(r"^\s*(\w+)\s*:\s*(\d+(?:\.\d+)?)\s*$", re.MULTILINE)
#: A frame, as in ``p_frame01`` or ``p_phase00``, may stand anywhere in a name; ED and ES, or a time
#: or visit, only at its end, where the words are less likely to mean something else. Where each
#: ventricle has a stack of its own, it is named before ED and ES, as in ``p_LVED``.
_NUMBER = re.compile(r"(?:^|[_\-. ])(?:frame|phase)[_-]?(\d+)(?=$|[_\-. ])", re.IGNORECASE)
_PHASE = re.compile(
    r"(?:^|[_\-. ])(?P<ventricle>[lr]v[_\-. ]?(?=e[ds]))?"
    r"(?:(?P<ED>ed|(?:end[_-]?)?dia(?:stol(?:e|ic))?)"
    r"|(?P<ES>es|(?:end[_-]?)?sys(?:tol(?:e|ic))?))(?=(?:[_\-. ]sax?)?$)",
    re.IGNORECASE,
)
_TIME = re.compile(r"(?:^|[_\-. ])t(?:ime|rig(?:ger)?)?[_-]?(\d+)(?:ms)?$", re.IGNORECASE)
_NNUNET_CHANNEL = "_0000"
#: Volumes cannot be measured on long-axis images, so their frames are not joined.
_LONG_AXIS = re.compile(r"(?:^|[_\-. ])(?:lax?|[234]ch)(?=$|[_\-. ])", re.IGNORECASE)


@dataclass(frozen=True)
class NameParts:
    """What the name of a file says.

    Attributes:
        patient: the name without the rest; empty where nothing else is in it.
        number: number of the frame, as in ``p_frame01`` or ``p_phase00``.
        phase: "ED" or "ES", as in ``p_ED`` or ``p_sys``; empty in any other name.
        time: a number that may be a time or a visit, as in ``p_t160``.
        ventricle: "LV" or "RV" where ED or ES follows it, as in ``p_LVED``.
    """

    patient: str
    number: int | None = None
    phase: str = ""
    time: int | None = None
    ventricle: str = ""

    @property
    def is_frame(self) -> bool:
        """Whether the name is that of one frame of a cycle."""
        return self.number is not None or bool(self.phase)


def parse_name(name: str) -> NameParts:
    """What the name of a file without its ending says of the patient and the frame.

    >>> parse_name("P01_SA_ED_0000")
    NameParts(patient='P01_SA', number=None, phase='ED', time=None, ventricle='')
    """
    rest = name.removesuffix(_NNUNET_CHANNEL)
    number, phase = _NUMBER.search(rest), None
    if number:
        rest = rest[: number.start()] + rest[number.end() :]
    if phase := _PHASE.search(rest):
        rest = rest[: phase.start()] + rest[phase.end() :]
    time = None if number or phase else _TIME.search(rest)
    if time:
        rest = rest[: time.start()]
    if not (number or phase or time) or _LONG_AXIS.search(rest):
        return NameParts(name)
    return NameParts(
        rest.strip("_-. "),
        int(number[1]) if number else None,
        (phase.lastgroup or "") if phase else "",
        int(time[1]) if time else None,
        (phase["ventricle"] or "")[:2].upper() if phase else "",
    )


def patient_and_frame(name: str) -> tuple[str, int | None]:
    """Patient and number of the frame; the number is None in a name that has none."""
    parts = parse_name(name)
    return (parts.patient, parts.number) if parts.patient and parts.is_frame else (name, None)


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
