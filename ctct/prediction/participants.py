"""``participants.tsv`` of a BIDS data set: the bodies of the patients."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ctct.cases.bids import DESCRIPTION
from ctct.errors import InputError
from ctct.measurement.subject import Subject

PARTICIPANTS = "participants.tsv"
#: The columns that may hold a value, the first one that is there counts.
_COLUMNS = {
    "sex": ("sex", "gender"),
    "height_cm": ("height_cm", "height"),
    "weight_kg": ("weight_kg", "weight"),
    "heart_rate_bpm": ("heart_rate_bpm", "heart_rate"),
}
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}
#: Size of a unit in cm or kg, as ``participants.json`` names it.
_UNITS = {
    **{"m": 100.0, "meter": 100.0, "meters": 100.0, "mm": 0.1, "in": 2.54, "inch": 2.54},
    **{"g": 0.001, "lb": 0.45359237, "lbs": 0.45359237},
}
_MAX_LEVELS = 3  # from a file up to its data set


def find_participants(inputs: Iterable[Path]) -> Path | None:
    """The table of the BIDS data set that all inputs are of; None where there is none."""
    found = set()
    for path in inputs:
        folders = [path.absolute(), *path.absolute().parents[: _MAX_LEVELS + 1]]
        root = next((folder for folder in folders if (folder / DESCRIPTION).is_file()), None)
        found.add(root / PARTICIPANTS if root and (root / PARTICIPANTS).is_file() else None)
    return found.pop() if len(found) == 1 else None


def read_participants(path: Path) -> tuple[dict[str, Subject], list[tuple[str, str]]]:
    """Sex, height, weight and heart rate of each participant.

    Heights are in cm and weights in kg, unless ``participants.json`` names another unit.

    Returns:
        Participant, as in ``sub-01``, to body, and the id and a line for each row that cannot be
        used.

    Raises:
        InputError: the file cannot be read, or has no ``participant_id``.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t")
            rows = list(reader)
            header = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from error
    if "participant_id" not in header:
        raise InputError(f"{path}: has no column participant_id; its columns are {header}")
    used = {
        name: next((column for column in columns if column in header), "")
        for name, columns in _COLUMNS.items()
    }
    factors = _read_factors(path.with_suffix(".json"), used)
    subjects: dict[str, Subject] = {}
    problems: list[tuple[str, str]] = []
    for number, row in enumerate(rows, 2):
        cells = {key: _cell(row.get(column)) for key, column in used.items()}
        name = f"sub-{_cell(row['participant_id']).removeprefix('sub-')}"
        try:
            subjects[name] = _subject(cells, factors)
        except InputError as error:
            line = f"{path.name}, line {number}: {name}: {error}; the row is not used"
            problems.append((name, line))
    return subjects, problems


def _cell(text: str | Sequence[str] | None) -> str:
    stripped = text.strip() if isinstance(text, str) else ""
    return "" if stripped.lower() == "n/a" else stripped


def _subject(cells: Mapping[str, str], factors: Mapping[str, float]) -> Subject:
    values: dict[str, float | None] = {}
    for name, text in cells.items():
        if name == "sex":
            continue
        try:
            number = float(text) if text else None
        except ValueError as error:
            raise InputError(f"{name} is {text!r}, expected a number") from error
        values[name] = None if number is None else round(number * factors.get(name, 1.0), 3)
    return Subject(sex=_SEX.get(cells["sex"].lower()), **values)


def _read_factors(path: Path, used: Mapping[str, str]) -> dict[str, float]:
    """By what the numbers of a column are multiplied, as far as the dictionary of columns tells."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
        units = {name: content.get(column, {}).get("Units", "") for name, column in used.items()}
    except (OSError, ValueError, AttributeError):
        return {}
    named = {name: str(unit).strip().lower() for name, unit in units.items()}
    return {name: _UNITS[unit] for name, unit in named.items() if unit in _UNITS}
