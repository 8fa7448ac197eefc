"""Results as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence

from ctct.labels import STRUCTURES
from ctct.measurement.volumes import INDEX_COLUMNS, Measurements


def patients_csv(patients: Mapping[str, Measurements]) -> bytes:
    """A row a patient: EDV, ESV, SV, EF and mass; empty where ED and ES are not known."""
    rows = (
        [patient, len(m.frames), *(_number(m.indices.get(column)) for column in INDEX_COLUMNS)]
        for patient, m in patients.items()
    )
    return csv_bytes(["patient", "frames", *INDEX_COLUMNS], rows)


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
