"""The columns of the tables under the names, and with the descriptions, that BIDS asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ctct.labels import LV, MYO, RV, STRUCTURES
from ctct.measurement.quality_flags import OK, REJECT, REVIEW

_NAMED = {LV: "left ventricle", RV: "right ventricle", MYO: "myocardium of the left ventricle"}
_VOLUMES = {
    "EDV": "End-diastolic volume",
    "ESV": "End-systolic volume",
    "SV": "Stroke volume",
    "EF": "Ejection fraction",
}
#: Description of each column, by its name in BIDS.
DESCRIPTIONS = {
    "participant_id": "Participant",
    "session_id": "Session",
    "patient": "Name of the patient in the tables of ctct",
    "case": "Name of the scan that holds the frame",
    "frames": "Number of frames",
    "ED_frame": "Number of the end-diastolic frame, from 0",
    "ES_frame": "Number of the end-systolic frame, from 0",
    "verdict": "Whether the result can be used",
    "score": "Quality score; of a patient, the worse one of end-diastole and end-systole",
    **{f"{s}_predicted_Dice": f"Expected Dice against manual labels, {_NAMED[s]}" for s in _NAMED},
    **{f"{v}{i}": f"{_VOLUMES[i]}, {_NAMED[v]}" for v in (LV, RV) for i in _VOLUMES},
    "LVM": "Mass of the left ventricle at end-diastole",
    "LVM_ES": "Mass of the left ventricle at end-systole",
    "LVSV_RVSV": "Ratio of the stroke volumes of the left and the right ventricle",
    "BSA": "Body surface area (Mosteller)",
    **{
        f"{v}{i}i": f"{_VOLUMES[i]} per body surface area, {_NAMED[v]}"
        for v in (LV, RV)
        for i in ("EDV", "ESV", "SV")
    },
    "LVMi": "Mass of the left ventricle per body surface area",
    "LVCO": "Cardiac output",
    "LVCOi": "Cardiac output per body surface area",
    "out_of_range": "Indices outside the reference range for the sex",
    "flags": "Reasons of the verdict, gravest first",
    "frame": "Number of the frame among all of the patient, from 0",
    "phase": "End-diastole (ED), end-systole (ES) or neither",
    **{f"{s}_volume": f"Volume, {_NAMED[s]}" for s in STRUCTURES},
    "LV_volume_smooth": "Volume of the left ventricle on the smoothed curve",
    **{
        f"{s}_disagreement": f"Mean disagreement of the networks, 0 to 1, {_NAMED[s]}"
        for s in STRUCTURES
    },
    "segment": "Number of the AHA segment, 1 to 16",
    "name": "Name of the segment",
    "ED": "Mean wall thickness at end-diastole",
    "ES": "Mean wall thickness at end-systole",
    "thickening": "Change of the wall thickness from end-diastole to end-systole",
}
_LEVELS = {
    "verdict": {
        OK: "nothing speaks against it",
        REVIEW: "somebody should look at it",
        REJECT: "not to be used",
    },
    "phase": {"ED": "end-diastole", "ES": "end-systole"},
}
_UNITS = {"m2": "m^2", "mL/m2": "mL/m^2", "g/m2": "g/m^2", "L/min/m2": "L/min/m^2"}
_UNIT = re.compile(r" \(([^()]+)\)")


def column_name(column: str) -> str:
    """The name in BIDS of a column, without its unit.

    >>> column_name("LV volume, smooth (mL)")
    'LV_volume_smooth'
    """
    return re.sub(r"[^A-Za-z0-9]+", "_", _UNIT.sub("", column)).strip("_")


def describe_columns(columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The dictionary of a table: description, unit and levels of each column.

    Args:
        columns: as in the tables of ctct, with their units.
    """
    described = {}
    for column in columns:
        name = column_name(column)
        content: dict[str, Any] = {"Description": DESCRIPTIONS.get(name, column)}
        if unit := _UNIT.search(column):
            content["Units"] = _UNITS.get(unit[1], unit[1])
        if name in _LEVELS:
            content["Levels"] = _LEVELS[name]
        described[name] = content
    return described
