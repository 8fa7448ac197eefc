"""Codes of what a measurement report says: SNOMED CT, LOINC, DICOM and UCUM (PS3.16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ctct.labels import LV, RV
from ctct.measurement.quality_flags import OK, REJECT, REVIEW
from ctct.measurement.wall import SEGMENTS

#: Value, scheme and meaning of a code.
Code = tuple[str, str, str]

#: The scheme of what no public scheme has a code for.
OWN_SCHEME = "99CTCT"

CARDIAC_MRI: Code = ("241620005", "SCT", "Cardiac MRI")
ARTIFICIAL_INTELLIGENCE: Code = ("123110", "DCM", "Artificial Intelligence")
COMMENT: Code = ("121106", "DCM", "Comment")
FINDING: Code = ("121071", "DCM", "Finding")
VOLUME: Code = ("118565006", "SCT", "Volume")
WALL_THICKNESS: Code = ("122445", "DCM", "Wall Thickness")
THICKENING: Code = ("59092-7", "LN", "% Thickening")
HEART_RATE: Code = ("8867-4", "LN", "Heart rate")
BSA: Code = ("8277-6", "LN", "BSA")
MOSTELLER: Code = ("122244", "DCM", "BSA = (HT*WT/36)^0.5")
INDEX: Code = ("121425", "DCM", "Index")
CYCLE_POINT: Code = ("272518008", "SCT", "Cardiac Cycle Point")
#: Cardiac phases (CID 12233).
PHASES: Mapping[str, Code] = {
    "ED": ("416190007", "SCT", "End diastole"),
    "ES": ("416430001", "SCT", "End Systole"),
}

ML: Code = ("ml", "UCUM", "ml")
MM: Code = ("mm", "UCUM", "mm")
PERCENT: Code = ("%", "UCUM", "%")
PER_MINUTE: Code = ("/min", "UCUM", "/min")
NO_UNITS: Code = ("1", "UCUM", "no units")
_RATIO: Code = ("{ratio}", "UCUM", "ratio")

#: What an index is, with its unit.
_STROKE_VOLUME: Code = ("90096001", "SCT", "Stroke Volume")
_STROKE_INDEX: Code = ("277381004", "SCT", "Stroke Index")
_VOLUMES: Mapping[str, Code] = {
    f"{LV}EDV": ("8821-1", "LN", "Left Ventricular ED Volume"),
    f"{LV}ESV": ("8823-7", "LN", "Left Ventricular ES Volume"),
    f"{RV}EDV": ("8822-9", "LN", "Right Ventricular ED Volume"),
    f"{RV}ESV": ("8824-5", "LN", "Right Ventricular ES Volume"),
}
_MASS: Code = ("18087-7", "LN", "Left Ventricle Mass")


class Concept(NamedTuple):
    """What an index is in codes.

    Attributes:
        name: of the quantity.
        unit: in UCUM.
        phase: "ED" or "ES" where the name does not tell the phase, otherwise "".
        is_indexed: whether it is divided by the body surface area and the name does not tell that.
        method: how it is computed, where the name does not tell that.
    """

    name: Code
    unit: Code
    phase: str = ""
    is_indexed: bool = False
    method: Code | None = None


_ML_M2: Code = ("ml/m2", "UCUM", "ml/m2")
_LEFT: Mapping[str, Concept] = {
    "LVEF (%)": Concept(("8811-2", "LN", "Left ventricular ejection fraction by MR"), PERCENT),
    "LVM (g)": Concept(_MASS, ("g", "UCUM", "g"), "ED"),
    "LVM ES (g)": Concept(_MASS, ("g", "UCUM", "g"), "ES"),
    "LVMi (g/m2)": Concept(_MASS, ("g/m2", "UCUM", "g/m2"), "ED", True),
    "LVCO (L/min)": Concept(("82799009", "SCT", "Cardiac Output"), ("l/min", "UCUM", "l/min")),
    "LVCOi (L/min/m2)": Concept(
        ("54993008", "SCT", "Cardiac Index"), ("l/min/m2", "UCUM", "l/min/m2")
    ),
}
_RIGHT: Mapping[str, Concept] = {
    "RVEF (%)": Concept(("8818-7", "LN", "Right ventricular ejection fraction by MR"), PERCENT),
}


def _volumes(ventricle: str) -> dict[str, Concept]:
    """The volumes of a ventricle, as they are and per body surface area."""
    names = {index: _VOLUMES[f"{ventricle}{index}"] for index in ("EDV", "ESV")}
    plain = {f"{ventricle}{index} (mL)": Concept(name, ML) for index, name in names.items()}
    indexed = {
        f"{ventricle}{index}i (mL/m2)": Concept(name, _ML_M2, is_indexed=True)
        for index, name in names.items()
    }
    return {
        **plain,
        f"{ventricle}SV (mL)": Concept(_STROKE_VOLUME, ML),
        **indexed,
        f"{ventricle}SVi (mL/m2)": Concept(_STROKE_INDEX, _ML_M2),
    }


#: Indices by column name, as in the tables, of each ventricle, of both, and of the patient.
INDICES: Mapping[str, Mapping[str, Concept]] = {
    LV: {**_volumes(LV), **_LEFT},
    RV: {**_volumes(RV), **_RIGHT},
    "": {
        "LVSV/RVSV": Concept(("118586006", "SCT", "Ratio"), _RATIO),
        "BSA (m2)": Concept(BSA, ("m2", "UCUM", "m2"), method=MOSTELLER),
    },
}

_SEGMENT_CODES = (
    *("264850008", "396482007", "396646008", "264846001", "396652009", "396654005"),
    *("264848000", "396647004", "396649001", "264847005", "396655006", "396656007"),
    *("264844003", "264845002", "264849008", "264853005"),
)
#: The 16 segments of the wall, number 1 first (CID 3717).
WALL_SEGMENTS: tuple[Code, ...] = tuple(
    (code, "SCT", f"left ventricle {name} segment")
    for code, name in zip(_SEGMENT_CODES, SEGMENTS, strict=True)
)

VERDICT: Code = ("verdict", OWN_SCHEME, "Verdict on the segmentation")
VERDICTS: Mapping[str, Code] = {
    OK: ("ok", OWN_SCHEME, "ok"),
    REVIEW: ("review", OWN_SCHEME, "review"),
    REJECT: ("reject", OWN_SCHEME, "reject"),
}
SCORE: Code = ("score", OWN_SCHEME, "Quality score: disagreement of the networks")
PREDICTED_DICE: Code = ("predicted-dice", OWN_SCHEME, "Predicted Dice against manual labels")
