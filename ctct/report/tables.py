"""Results as CSV files and as a dictionary for JSON."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ctct.labels import STRUCTURES
from ctct.measurement.patient import PatientResult
from ctct.measurement.ranges import SOURCE, normal_range, out_of_range
from ctct.measurement.subject import SUBJECT_COLUMNS
from ctct.measurement.volumes import INDEX_COLUMNS
from ctct.measurement.wall import SEGMENTS, thickening_percent

#: A spreadsheet takes a cell for a formula, or for the next cell, if it begins like this (OWASP,
#: "CSV Injection"); a number may.
_FORMULA = re.compile(r"(?![+-]?\d+(\.\d+)?\Z)[=+\-@\t\r\n＝＋－＠]", re.ASCII)


def patients_csv(results: Iterable[PatientResult]) -> bytes:
    """One row per patient: phases, verdict, indices, those out of range, reasons of the verdict.

    Frames are counted from 0. Unknown values are empty. Identifiers, if any, are the last columns.
    """
    results = list(results)
    columns = (*INDEX_COLUMNS, *SUBJECT_COLUMNS)
    identifiers = dict.fromkeys(name for result in results for name in result.identifiers)
    rows = []
    for result in results:
        m, judgement = result.measurements, result.judgement
        indices = m.all_indices
        marks = out_of_range(indices, m.subject.sex)
        rows.append(
            [
                *(result.name, len(m.frames), m.ed, m.es),
                *(judgement.verdict, _format(judgement.score)),
                *(_format(indices.get(column)) for column in columns),
                "; ".join(f"{index} {mark}" for index, mark in marks.items()),
                "; ".join(flag.reason for flag in judgement.flags),
                *(result.identifiers.get(name, "") for name in identifiers),
            ]
        )
    header = ("patient", "frames", "ED frame", "ES frame", "verdict", "score", *columns)
    return csv_bytes([*header, "out of range", "flags", *identifiers], rows)


def frames_csv(results: Iterable[PatientResult]) -> bytes:
    """One row per frame: volumes, smoothed LV volume, ED or ES, disagreement of the networks.

    Frames are counted from 0 among all of the patient, as in :func:`patients_csv`; ``case`` names
    the scan that holds the frame.
    """
    rows = []
    for result in results:
        m = result.measurements
        for number, (frame, indicators) in enumerate(zip(m.frames, result.indicators, strict=True)):
            smooth_ml = m.smooth_ml[number] if m.smooth_ml else None
            phase = {m.es: "ES", m.ed: "ED"}.get(number, "")
            rows.append(
                [
                    *(result.name, frame.name, number, phase),
                    *(_format(frame.volume_ml[s]) for s in STRUCTURES),
                    _format(smooth_ml),
                    _format(indicators.score if indicators else None),
                    *(
                        _format(indicators.disagreement[s] if indicators else None, 3)
                        for s in STRUCTURES
                    ),
                ]
            )
    header = [
        *("patient", "case", "frame", "phase", *(f"{s} volume (mL)" for s in STRUCTURES)),
        *("LV volume, smooth (mL)", "score", *(f"{s} disagreement" for s in STRUCTURES)),
    ]
    return csv_bytes(header, rows)


def patients_json(results: Iterable[PatientResult]) -> dict[str, Any]:
    """All measurements of every patient by name; units are in the keys."""
    return {
        "reference_ranges": SOURCE,
        "patients": {result.name: _patient_json(result) for result in results},
    }


def _patient_json(result: PatientResult) -> dict[str, Any]:
    m = result.measurements
    marks = out_of_range(m.all_indices, m.subject.sex)
    return {
        **({"identifiers": dict(result.identifiers)} if result.identifiers else {}),
        **asdict(result.judgement),
        "ed_frame": m.ed,
        "es_frame": m.es,
        "indices": m.all_indices,
        "indices_by_other_model": result.by_model,
        "out_of_range": {
            index: {"is": mark, "range": normal_range(index, m.subject.sex)}
            for index, mark in marks.items()
        },
        "subject": asdict(m.subject),
        "frames": [asdict(frame) for frame in m.frames],
        "smooth_lv_volume_ml": m.smooth_ml,
    }


def segments_csv(results: Iterable[PatientResult]) -> bytes:
    """One row per patient and segment: wall thickness at ED and ES, and thickening."""
    rows: list[list[object]] = []
    for result in results:
        ed_mm, es_mm = result.ed_wall_mm, result.es_wall_mm
        if ed_mm and es_mm:
            percent = thickening_percent(ed_mm, es_mm)
            segments = zip(SEGMENTS, ed_mm, es_mm, percent, strict=True)
            for number, (name, *values) in enumerate(segments, 1):
                rows.append([result.name, number, name, *map(_format, values)])
    header = ["patient", "segment", "name", "ED (mm)", "ES (mm)", "thickening (%)"]
    return csv_bytes(header, rows)


def by_model_csv(results: Iterable[PatientResult]) -> bytes:
    """One row per patient and model: this model, then each of the others."""
    rows: list[list[object]] = []
    for result in results:
        if indices := result.measurements.indices:
            for model, values in {"this": indices, **result.by_model}.items():
                rows.append([result.name, model, *(_format(values[c]) for c in INDEX_COLUMNS)])
    return csv_bytes(["patient", "model", *INDEX_COLUMNS], rows)


def _format(value: float | None, digits: int = 2) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV in UTF-8; an apostrophe precedes text that a spreadsheet would calculate."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in (header, *rows):
        writer.writerow([_quote_formula(cell) for cell in row])
    return text.getvalue().encode()


def _quote_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
