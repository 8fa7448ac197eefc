"""Results as CSV files and as a dictionary for JSON."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ctct.labels import STRUCTURES
from ctct.measurement.patient import PatientResult
from ctct.measurement.peak_rates import peak_rate_indices
from ctct.measurement.ranges import SOURCE, normal_range, out_of_range, z_scores
from ctct.measurement.subject import SUBJECT_COLUMNS
from ctct.measurement.volumes import INDEX_COLUMNS
from ctct.measurement.wall import SEGMENTS, thickening_percent
from ctct.parquet import ParquetFile

#: A spreadsheet takes a cell for a formula, or for the next cell, if it begins like this (OWASP,
#: "CSV Injection"); a number may.
_FORMULA = re.compile(r"(?![+-]?\d+(\.\d+)?\Z)[=+\-@\t\r\n＝＋－＠]", re.ASCII)


Row = Sequence[object]
#: What a table has rows of, mostly a patient.
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Table(Generic[T]):
    """A table of results, made patient by patient.

    Attributes:
        name: of its file, without the ending.
        header: names of the columns.
        rows: the rows of a patient: numbers with all their digits, None where not known.
        texts: columns that hold text.
        counts: columns that hold whole numbers; all others hold numbers with decimals.
        digits: decimals of some columns in CSV; the others have 2.
    """

    name: str
    header: tuple[str, ...]
    rows: Callable[[T], Iterable[Row]]
    texts: frozenset[str]
    counts: frozenset[str] = frozenset()
    digits: Mapping[str, int] = field(default_factory=dict)

    def csv_rows(self, result: T) -> Iterator[list[object]]:
        """The rows of a patient as cells of CSV."""
        for row in self.rows(result):
            yield [
                _format(value, self.digits.get(column, 2)) if self._is_decimal(column) else value
                for column, value in zip(self.header, row, strict=True)
            ]

    def _is_decimal(self, column: str) -> bool:
        return column not in self.texts and column not in self.counts

    def csv(self, results: Iterable[T]) -> bytes:
        """The table of some patients as CSV."""
        return csv_bytes(self.header, (row for result in results for row in self.csv_rows(result)))


class ParquetTable(ParquetFile, Generic[T]):
    """A table of results; numbers have all their digits."""

    def __init__(self, path: Path, table: Table[T]) -> None:
        self._table = table
        kinds = dict.fromkeys(table.header, "double")
        kinds |= dict.fromkeys(table.texts, "string") | dict.fromkeys(table.counts, "int32")
        super().__init__(path, {name: kinds[name] for name in table.header})

    def add(self, result: T) -> None:
        """Add the rows of a patient."""
        for row in self._table.rows(result):
            self.write(dict(zip(self._table.header, row, strict=True)))


def patients_table(
    remarks: Iterable[str] = (), identifiers: Iterable[str] = ()
) -> Table[PatientResult]:
    """One row per patient: phases, verdict, indices, those out of range, reasons of the verdict.

    Frames are counted from 0. Remarks and identifiers, if any, are the last columns.
    """
    remarks, identifiers = tuple(remarks), tuple(identifiers)
    columns = (*INDEX_COLUMNS, *SUBJECT_COLUMNS)

    def rows(result: PatientResult) -> Iterator[Row]:
        m, judgement = result.measurements, result.judgement
        indices = m.all_indices
        marks = out_of_range(indices, result.range_sex)
        yield [
            *(result.name, len(m.frames), m.ed, m.es, judgement.verdict, judgement.score),
            *(judgement.predicted_dice.get(s) for s in STRUCTURES),
            *(indices.get(column) for column in columns),
            "; ".join(f"{index} {mark}" for index, mark in marks.items()),
            "; ".join(flag.reason for flag in judgement.flags),
            *(result.remarks.get(name, "") for name in remarks),
            *(result.identifiers.get(name, "") for name in identifiers),
        ]

    header = ("patient", "frames", "ED frame", "ES frame", "verdict", "score")
    dice = (f"{s} predicted Dice" for s in STRUCTURES)
    texts = ("out of range", "flags", *remarks, *identifiers)
    return Table(
        "measurements",
        (*header, *dice, *columns, *texts),
        rows,
        frozenset({"patient", "verdict", *texts}),
        frozenset({"frames", "ED frame", "ES frame"}),
    )


def _frame_rows(result: PatientResult) -> Iterator[Row]:
    m = result.measurements
    for number, (frame, indicators) in enumerate(zip(m.frames, result.indicators, strict=True)):
        yield [
            *(result.name, frame.name, number, {m.es: "ES", m.ed: "ED"}.get(number, "")),
            *(frame.volume_ml[s] for s in STRUCTURES),
            m.smooth_ml[number] if m.smooth_ml else None,
            indicators.score if indicators else None,
            *(indicators.disagreement[s] if indicators else None for s in STRUCTURES),
            *(indicators.predicted_dice.get(s) if indicators else None for s in STRUCTURES),
        ]


#: One row per frame: volumes, smoothed LV volume, ED or ES, disagreement, predicted Dice. Frames
#: are counted from 0 among all of the patient; ``case`` names the scan that holds the frame.
FRAMES = Table(
    "frames",
    (
        *("patient", "case", "frame", "phase", *(f"{s} volume (mL)" for s in STRUCTURES)),
        *("LV volume, smooth (mL)", "score", *(f"{s} disagreement" for s in STRUCTURES)),
        *(f"{s} predicted Dice" for s in STRUCTURES),
    ),
    _frame_rows,
    frozenset({"patient", "case", "phase"}),
    frozenset({"frame"}),
    {f"{s} disagreement": 3 for s in STRUCTURES},
)


def patients_csv(results: Iterable[PatientResult]) -> bytes:
    """:func:`patients_table` as CSV; unknown values are empty."""
    results = list(results)
    remarks = dict.fromkeys(name for result in results for name in result.remarks)
    identifiers = dict.fromkeys(name for result in results for name in result.identifiers)
    return patients_table(remarks, identifiers).csv(results)


def frames_csv(results: Iterable[PatientResult]) -> bytes:
    """:data:`FRAMES` as CSV; unknown values are empty."""
    return FRAMES.csv(results)


def patients_json(results: Iterable[PatientResult]) -> dict[str, Any]:
    """All measurements of every patient by name; units are in the keys."""
    return {
        "reference_ranges": SOURCE,
        "patients": {result.name: patient_json(result) for result in results},
    }


def patient_json(result: PatientResult) -> dict[str, Any]:
    """All measurements of a patient."""
    m = result.measurements
    sex = result.range_sex
    marks = out_of_range(m.all_indices, sex)
    return {
        **({"identifiers": dict(result.identifiers)} if result.identifiers else {}),
        **({"remarks": dict(result.remarks)} if result.remarks else {}),
        **asdict(result.judgement),
        "ed_frame": m.ed,
        "es_frame": m.es,
        "indices": m.all_indices,
        "peak_rates": peak_rate_indices(m),
        "indices_by_other_model": result.by_model,
        "out_of_range": {
            index: {"is": mark, "range": normal_range(index, sex)} for index, mark in marks.items()
        },
        "z_scores": z_scores(m.all_indices, sex),
        "subject": asdict(m.subject),
        "frames": [asdict(frame) for frame in m.frames],
        "smooth_lv_volume_ml": m.smooth_ml,
    }


def _segment_rows(result: PatientResult) -> Iterator[Row]:
    ed_mm, es_mm = result.ed_wall_mm, result.es_wall_mm
    if ed_mm and es_mm:
        segments = zip(SEGMENTS, ed_mm, es_mm, thickening_percent(ed_mm, es_mm), strict=True)
        for number, (name, *values) in enumerate(segments, 1):
            yield [result.name, number, name, *values]


#: One row per patient and segment: wall thickness at ED and ES, and thickening.
SEGMENT_ROWS = Table(
    "segments",
    ("patient", "segment", "name", "ED (mm)", "ES (mm)", "thickening (%)"),
    _segment_rows,
    frozenset({"patient", "name"}),
    frozenset({"segment"}),
)


def segments_csv(results: Iterable[PatientResult]) -> bytes:
    """:data:`SEGMENT_ROWS` as CSV."""
    return SEGMENT_ROWS.csv(results)


def _model_rows(result: PatientResult) -> Iterator[Row]:
    if indices := result.measurements.indices:
        for model, values in {"this": indices, **result.by_model}.items():
            yield [result.name, model, *(values[c] for c in INDEX_COLUMNS)]


#: One row per patient and model: this model, then each of the others.
BY_MODEL = Table(
    "by_model", ("patient", "model", *INDEX_COLUMNS), _model_rows, frozenset({"patient", "model"})
)


def by_model_csv(results: Iterable[PatientResult]) -> bytes:
    """:data:`BY_MODEL` as CSV."""
    return BY_MODEL.csv(results)


def _format(value: object, digits: int = 2) -> str:
    is_known = isinstance(value, float | int) and not math.isnan(value)
    return f"{value:.{digits}f}" if is_known else ""


def csv_bytes(header: Row, rows: Iterable[Row]) -> bytes:
    """A table as CSV in UTF-8; an apostrophe precedes text that a spreadsheet would calculate."""
    return encode_rows([header, *rows])


def encode_rows(rows: Iterable[Row]) -> bytes:
    """Rows of a table as CSV; see :func:`csv_bytes`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([_quote_formula(cell) for cell in row])
    return text.getvalue().encode()


def _quote_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
