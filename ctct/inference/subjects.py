"""The table of patients that ``--subjects`` names."""

from __future__ import annotations

import csv
from pathlib import Path

from ctct.errors import InputError
from ctct.measurement.subject import Subject

_NUMBERS = ("height_cm", "weight_kg", "heart_rate_bpm")
_COLUMNS = ("id", "sex", *_NUMBERS)
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}


def read_subjects(path: Path) -> tuple[dict[str, Subject], list[str]]:
    """Read a CSV file with a row a patient.

    Columns are ``id`` (the patient's name in the results), ``sex`` (M or F), ``height_cm``,
    ``weight_kg`` and ``heart_rate_bpm``; all but the first may be missing or empty.

    Returns:
        Patient to what is known, and a line for each row that cannot be used.

    Raises:
        InputError: the file cannot be read, or it is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            header = [name.strip() for name in reader.fieldnames or ()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    strange = [name for name in header if name not in _COLUMNS]
    if "id" not in header or strange:
        raise InputError(f"{path}: columns are {header}; expected {', '.join(_COLUMNS)}")
    subjects: dict[str, Subject] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, 2):
        cells = {k.strip(): (v or "").strip() for k, v in row.items() if isinstance(k, str)}
        name = cells["id"]
        where = f"{path}, line {number}"
        if not name:
            problems.append(f"{where}: has no id")
        elif name in subjects:
            problems.append(f"{where}: {name} is there twice; the first row counts")
        else:
            try:
                subjects[name] = _subject(cells)
            except InputError as error:
                problems.append(f"{where}: {name}: {error}")
    return subjects, problems


def _subject(cells: dict[str, str]) -> Subject:
    sex = cells.get("sex") or None
    values: dict[str, float | None] = {}
    for name in _NUMBERS:
        text = cells.get(name)
        try:
            values[name] = float(text) if text else None
        except ValueError as error:
            raise InputError(f"{name} is {text!r}, expected a number") from error
    return Subject(sex=_SEX.get(sex.lower(), sex) if sex else None, **values)
