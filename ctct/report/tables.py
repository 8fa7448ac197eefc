"""Results as CSV, and as what JSON can hold."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ctct.labels import STRUCTURES
from ctct.measurement.patient import PatientResult
from ctct.measurement.ranges import SOURCE, normal_range, out_of_range
from ctct.measurement.subject import SUBJECT_COLUMNS
from ctct.measurement.volumes import INDEX_COLUMNS
from ctct.measurement.wall import SEGMENTS, thickening_percent


def patients_csv(results: Iterable[PatientResult]) -> bytes:
    """A row a patient: phases, verdict, indices, what lies out of range, reasons of the verdict.

    Frames are counted from 0; what is not known is left empty. Identifiers come last, where there
    are any.
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
                *(result.name, len(m.frames), *("" if at is None else at for at in (m.ed, m.es))),
                *(judgement.verdict, _number(judgement.score)),
                *(_number(indices.get(column)) for column in columns),
                "; ".join(f"{index} {mark}" for index, mark in marks.items()),
                "; ".join(flag.reason for flag in judgement.flags),
                *(result.identifiers.get(name, "") for name in identifiers),
            ]
        )
    header = ("patient", "frames", "ED frame", "ES frame", "verdict", "score", *columns)
    return csv_bytes([*header, "out of range", "flags", *identifiers], rows)


def frames_csv(results: Iterable[PatientResult]) -> bytes:
    """A row a frame: volumes, the LV's smoothed one, ED or ES, and the networks' disagreement."""
    rows = []
    for result in results:
        m = result.measurements
        for number, (frame, indicators) in enumerate(zip(m.frames, result.indicators, strict=True)):
            smooth_ml = m.smooth_ml[number] if m.smooth_ml else None
            phase = {m.es: "ES", m.ed: "ED"}.get(number, "")
            rows.append(
                [
                    *(result.name, frame.name, frame.index, phase),
                    *(_number(frame.volume_ml[s]) for s in STRUCTURES),
                    _number(smooth_ml),
                    _number(indicators.score if indicators else None),
                    *(
                        _number(indicators.disagreement[s] if indicators else None, 3)
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
    """Everything measured of each patient, with units in the names."""
    return {
        "reference_ranges": SOURCE,
        "patients": {result.name: _everything(result) for result in results},
    }


def _everything(result: PatientResult) -> dict[str, Any]:
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
    """A row a patient and segment: thickness at ED and ES, and thickening."""
    rows: list[list[object]] = []
    for result in results:
        ed_mm, es_mm = result.ed_wall_mm, result.es_wall_mm
        if ed_mm and es_mm:
            percent = thickening_percent(ed_mm, es_mm)
            for at, (name, *values) in enumerate(
                zip(SEGMENTS, ed_mm, es_mm, percent, strict=True), 1
            ):
                rows.append([result.name, at, name, *map(_number, values)])
    header = ["patient", "segment", "name", "ED (mm)", "ES (mm)", "thickening (%)"]
    return csv_bytes(header, rows)


def by_model_csv(results: Iterable[PatientResult]) -> bytes:
    """A row a patient and model: the indices of this model's labels, then of each other's."""
    rows: list[list[object]] = []
    for result in results:
        if indices := result.measurements.indices:
            for model, own in {"this": indices, **result.by_model}.items():
                rows.append([result.name, model, *(_number(own[c]) for c in INDEX_COLUMNS)])
    return csv_bytes(["patient", "model", *INDEX_COLUMNS], rows)


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
