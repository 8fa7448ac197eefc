"""Results as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence

from ctct.labels import STRUCTURES
from ctct.measurement.ranges import out_of_range
from ctct.measurement.subject import SUBJECT_COLUMNS
from ctct.measurement.volumes import INDEX_COLUMNS, Measurements


def patients_csv(patients: Mapping[str, Measurements]) -> bytes:
    """A row a patient: phases, indices, what lies out of range, and what is odd.

    Frames are counted from 0; what is not known is left empty.
    """
    columns = (*INDEX_COLUMNS, *SUBJECT_COLUMNS)
    rows = []
    for patient, m in patients.items():
        indices = m.all_indices
        marks = out_of_range(indices, m.subject.sex)
        rows.append(
            [
                *(patient, len(m.frames), *("" if at is None else at for at in (m.ed, m.es))),
                *(_number(indices.get(column)) for column in columns),
                "; ".join(f"{index} {mark}" for index, mark in marks.items()),
                "; ".join(m.warnings),
            ]
        )
    header = ["patient", "frames", "ED frame", "ES frame", *columns, "out of range", "warnings"]
    return csv_bytes(header, rows)


def frames_csv(patients: Mapping[str, Measurements]) -> bytes:
    """A row a frame: the volume of each structure, and whether the frame is ED or ES."""
    columns = [f"{structure} volume (mL)" for structure in STRUCTURES]
    rows = (
        [
            patient,
            frame.name,
            frame.index,
            {m.es: "ES", m.ed: "ED"}.get(number, ""),
            *(_number(frame.volume_ml[s]) for s in STRUCTURES),
        ]
        for patient, m in patients.items()
        for number, frame in enumerate(m.frames)
    )
    return csv_bytes(["patient", "case", "frame", "phase", *columns], rows)


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.2f}"


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
