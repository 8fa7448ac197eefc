"""Scans that are no short-axis cine, by their names and by the parameters of their acquisition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ctct.io.dicom.header import frame_value, parse_number

#: What words in a name mean, once anything but letters and digits is replaced by spaces.
_SEQUENCES = {
    "late enhancement": r"lge|psir|mde|late (gad\w*|enh\w*)|delayed (enh\w*|hyper\w*)|viab\w*|"
    r"inversion rec\w*|(ti|look) ?(scout|locker)",
    "a map of T1, T2 or extracellular volume": r"t[12] ?(star)? ?map\w*|(post|pre)? ?molli|"
    r"(sh)?molli|sasha|ecv|t2 ?star|[mr][12] ?map",
    "a T1- or T2-weighted image": r"t[12] ?w(eighted|i)?|t2 ?(prep\w*|stir|tse|spair)|stir|tirm|"
    r"(dark|black) ?blood|haste|tse",
    "perfusion": r"perf\w*|first ?pass",
    "a localizer": r"locali[sz]er|scout|survey|topogram",
}
#: Cines too, of another kind.
_OTHER_CINES = {
    "flow": r"[24]d ?flow|flow|phase ?contrast|venc\w*|pc ?mri|pcmr",
    "tagging": r"tagg(ed|ing)|tag ?cine|cine ?tag|c?spamm",
}
_CINE = r"cine|ssfp|trufi|fiesta|b?tfe"
_SHORT_AXIS = r"sax?|short ?axis"
_OTHER_VIEW = (
    r"[234] ?(ch|cv)|(two|three|four|[234]) ?chambers?|(?<!de )lax?|long ?axis|[hv]la|[lr]vot|"
    r"axial|coronal|sagittal"
)
_VIEW = "another view"
#: In capitals only: in lower case it is a word of many languages.
_DELAYED = re.compile(r"(?<![A-Za-z0-9])DE(?![A-Za-z0-9])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

_MAPS = re.compile(r"(T1|T2|T2_?STAR|ECV)[ _]?MAP|PSIR")
#: Functional groups of an enhanced file that describe the sequence.
_GROUPS = ("MRModifierSequence", "MREchoSequence", "MRTimingAndRelatedParametersSequence")
#: A cine has an echo time of 1 to 5 ms.
_MAX_ECHO_MS = 10.0


def describe_name(name: str) -> str:
    """What the name of a file or series calls it that is no short-axis cine; "" if nothing.

    >>> describe_name("p01_LGE"), describe_name("p01_cine_4ch"), describe_name("p01_cine_sax")
    ('late enhancement', 'another view', '')
    """
    words = re.sub(r"[\W_]+", " ", _CAMEL.sub(" ", name)).lower()
    is_cine = _says(words, _CINE)
    if not is_cine and _DELAYED.search(name.replace("_", " ")):
        return "late enhancement"
    for sequence, pattern in (_OTHER_CINES if is_cine else _SEQUENCES | _OTHER_CINES).items():
        if _says(words, pattern):
            return sequence
    if _says(words, _OTHER_VIEW) and not _says(words, _SHORT_AXIS):
        return _VIEW
    return ""


def note_name(name: str) -> tuple[str, ...]:
    """A note on a file whose name speaks against a short-axis cine."""
    said = describe_name(name)
    return (f"this is no short-axis cine: its name speaks of {said}",) if said else ()


def note_sequence(header: Any) -> tuple[str, ...]:
    """A note on a DICOM data set whose attributes say that it is no cine."""
    names = _values(header, "SeriesDescription") + _values(header, "ProtocolName")
    text = " ".join(map(str, names))
    said = describe_name(text)
    reasons = [f"its name speaks of {said}"] if said and said != _VIEW else []
    if _MAPS.search(" ".join(map(str, _values(header, "ImageType"))).upper()):
        reasons.append("its ImageType is that of a map or of late enhancement")
    scanning = _values(header, "ScanningSequence")
    inversion_ms = _first_number(header, "InversionTime", "InversionTimes")
    if inversion_ms or "IR" in scanning or "YES" in _values(header, "InversionRecovery"):
        shown = f", {inversion_ms:g} ms" if inversion_ms else ""
        reasons.append(f"it has an inversion pulse{shown}, as late enhancement and T1 maps have")
    if "SE" in scanning or "SPIN" in _values(header, "EchoPulseSequence"):
        reasons.append("it is of spin echoes")
    echo_ms = _first_number(header, "EchoTime", "EffectiveEchoTime")
    if echo_ms and echo_ms > _MAX_ECHO_MS:
        reasons.append(f"its echo time is {echo_ms:g} ms, as in T2-weighted images")
    return (f"this series is not a cine: {', '.join(reasons)}",) if reasons else ()


def _says(words: str, pattern: str) -> bool:
    return re.search(rf"(?<![a-z0-9])({pattern})(?![a-z])", words) is not None


def _values(header: Any, name: str) -> list[Any]:
    """The values of an attribute: of the whole file, or of its first frame."""
    for group in ("", *_GROUPS):
        value = frame_value(header, 0, name, group)
        if value is not None and value != "":
            is_list = isinstance(value, Sequence) and not isinstance(value, str)
            return list(value) if is_list else [value]
    return []


def _first_number(header: Any, *names: str) -> float | None:
    """The first number that one of the attributes holds."""
    numbers = (parse_number(value) for name in names for value in _values(header, name))
    return next((number for number in numbers if number is not None), None)
