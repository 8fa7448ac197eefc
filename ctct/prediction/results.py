"""The results of all patients: joined from the records of their scans, one patient after another.

So memory does not grow with the number of patients, and tables can be made at any time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

from ctct.cases.case_names import group_by
from ctct.errors import InputError
from ctct.io.dicom.identifiers import IDENTIFIERS
from ctct.io.label_maps import check_same_grid
from ctct.measurement.papillary import LABELS, papillary_remark
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import REJECT, VERDICTS, Flag, judge
from ctct.measurement.ranges import SOURCE
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import Measurements
from ctct.prediction.case_record import CaseRecord, read_record, record_names, sort_frames
from ctct.prediction.comparison import indices_by_model
from ctct.prediction.follow_ups import FollowUp, compare_studies
from ctct.prediction.patients import Overrides, frame_numbers, join_context
from ctct.prediction.quality_record import (
    contours_path,
    disagreement_path,
    join_indicators,
    output_path,
)
from ctct.prediction.single_frame import compare_frames
from ctct.report.follow_up import FOLLOW_UPS
from ctct.report.montage import stack_jpegs
from ctct.report.report_page import ReportWriter, cohort_html
from ctct.report.tables import (
    BY_MODEL,
    FRAMES,
    SEGMENT_ROWS,
    ParquetTable,
    Table,
    csv_bytes,
    encode_rows,
    patient_json,
    patients_csv,
    patients_json,
    patients_table,
)
from ctct.storage import open_atomic, strict_json, write_atomic

log = logging.getLogger(__name__)

REPORT = "report.html"
#: Files that are written for patients.
TABLES = (
    *("measurements.csv", "measurements.json", "frames.csv", "by_model.csv", "segments.csv"),
    *(REPORT, "follow_up.csv"),
)


@dataclass
class Summary:
    """How the patients of a run were judged.

    Attributes:
        verdicts: verdict to the number of patients.
        lvef_percent: lowest and highest LVEF of the patients that were not rejected; None without.
    """

    verdicts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    lvef_percent: Sequence[float] | None = None

    @property
    def patients(self) -> int:
        """Number of patients."""
        return sum(self.verdicts.values())

    def add(self, patient: PatientResult) -> None:
        """Count one patient."""
        verdict = patient.judgement.verdict
        self.verdicts[verdict] += 1
        percent = patient.measurements.indices.get("LVEF (%)", math.nan)
        if verdict != REJECT and math.isfinite(percent):
            low, high = self.lvef_percent or (percent, percent)
            self.lvef_percent = min(low, percent), max(high, percent)


@dataclass(frozen=True)
class TableOptions:
    """What tables and report hold; stored in the run manifest, for ``ctct report``.

    Attributes:
        overrides: what the user says of the patients.
        label_order: numbering of the label maps, also of those to compare with.
        report: write ``segments.csv`` and ``report.html``.
        keep_identifiers: show identifiers of DICOM headers.
        papillary: what papillary muscles count with.
    """

    overrides: Overrides = field(default_factory=Overrides)
    label_order: str = "acdc"
    report: bool = True
    keep_identifiers: bool = False
    papillary: str = LABELS

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads."""
        o = self.overrides
        return {
            "ed": o.ed,
            "es": o.es,
            "compare": [str(folder.absolute()) for folder in o.compare],
            "subjects": {name: vars(subject) for name, subject in o.subjects.items()},
            "problems": {name: list(lines) for name, lines in o.problems.items()},
            "follow_ups": [list(studies) for studies in o.follow_ups],
            "label_order": self.label_order,
            "report": self.report,
            "keep_identifiers": self.keep_identifiers,
            "papillary": self.papillary,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`; what is missing has its default."""
        overrides = Overrides(
            {name: Subject(**body) for name, body in content.get("subjects", {}).items()},
            content.get("ed"),
            content.get("es"),
            tuple(map(Path, content.get("compare", ()))),
            {name: tuple(lines) for name, lines in content.get("problems", {}).items()},
            tuple(tuple(studies) for studies in content.get("follow_ups", ())),
        )
        names = ("label_order", "report", "keep_identifiers", "papillary")
        return cls(overrides, **{name: content[name] for name in names if name in content})


@dataclass(frozen=True)
class Entry:
    """Where the record of a case is, and whose it is.

    Attributes:
        folder: of results.
        case: its name.
        patient: name of the patient.
        order: by which scans are sorted: their paths.
    """

    folder: Path
    case: str
    patient: str
    order: tuple[tuple[str, ...], str]


def list_entries(folder: Path) -> Iterator[Entry]:
    """All cases with a record in a folder of results that tell of a label map, or of a failure.

    Records of earlier versions, which are not complete, and cases that are being written, are left
    out.
    """
    for case in record_names(folder):
        record = read_record(folder, case)
        if record is None or not record.patient:
            continue
        if record.is_measured and not output_path(folder, case).exists():
            continue
        yield Entry(folder, case, record.patient, record.order)


def join_entries(
    entries: Iterable[Entry], options: TableOptions, pictures: bool = True
) -> Iterator[PatientResult]:
    """The patients, in the order of their scans, each read when it is asked for.

    Args:
        entries: the cases.
        options: what the user says of the patients.
        pictures: read the pictures too.
    """
    ordered = sorted(entries, key=lambda entry: entry.order)
    for group in group_by(ordered, lambda entry: entry.patient):
        records = {
            id(record): (record, entry.folder)
            for entry in group
            if (record := read_record(entry.folder, entry.case))
        }
        measured = sort_frames([record for record, _ in records.values() if record.is_measured])
        if not measured:
            continue
        lost = [Path(r.path).name for r, _ in records.values() if not r.is_measured]
        folders = {record.case: folder for record, folder in records.values()}
        if len(measured) > 1 and any(len(record.volumes_ml) > 1 for record in measured):
            patient = measured[0].patient
            log.warning("%s: its files are cines; each is a patient of its own", patient)
            parts = [(record.case, [record]) for record in measured]
        else:
            parts = [(measured[0].patient, measured)]
        for name, scans in parts:
            result = join_records(name, scans, options, lost)
            yield add_pictures(result, folders) if pictures else result


def join_records(
    name: str, records: Sequence[CaseRecord], options: TableOptions, lost: Sequence[str] = ()
) -> PatientResult:
    """Measure and judge a patient.

    Args:
        name: of the patient.
        records: of the patient's scans, in the order of the cycle.
        options: what the user says of the patients.
        lost: file names of frames that could not be used.
    """
    frames = [frame for record in records for frame in record.frames]
    numbers = [n for record in records for n in frame_numbers(record, len(record.volumes_ml))]
    headers = [record.header for record in records]
    context = join_context(records, headers, numbers, options.overrides)
    if any(record.papillary != options.papillary for record in records):
        other = "papillary muscles are counted otherwise than asked for; run ctct predict again"
        context = replace(context, warnings=(*context.warnings, other))
    if len(records) > 1:
        warnings = [f"frames that could not be used: {', '.join(lost)}"] if lost else []
        warnings += _different_grids(records)
        context = replace(context, warnings=(*context.warnings, *warnings))
    measurements = context.measure(frames)
    indicators, image = join_indicators((r.indicators, len(r.volumes_ml)) for r in records)
    image |= dict.fromkeys(_motion(records, measurements))
    walls = {(r.case, frame): wall for r in records for frame, wall in r.walls_mm.items()}
    ed_mm, es_mm = (
        walls.get((frames[number].name, frames[number].index), ()) if number is not None else ()
        for number in (measurements.ed, measurements.es)
    )
    identifiers: dict[str, str] = {}
    if options.keep_identifiers:
        for record in records:
            identifiers |= record.identifiers
    return PatientResult(
        name,
        measurements,
        judge(measurements, indicators, image),
        indicators,
        indices_by_model(measurements, options.overrides.compare, options.label_order),
        ed_mm,
        es_mm,
        identifiers=identifiers,
        remarks=papillary_remark(records[0].papillary),
    )


def _motion(records: Sequence[CaseRecord], measurements: Measurements) -> Sequence[Flag]:
    """Flags of frames that hardly show one heart, or one that contracts."""
    if len(records) == 1:
        return records[0].motion
    frames = [record.single_frame for record in records if record.single_frame]
    grid = records[0].grid
    if len(frames) < len(records) or grid is None:
        return []
    return compare_frames(frames, measurements, grid.spacing_mm)


def add_pictures(result: PatientResult, folders: Mapping[str, Path]) -> PatientResult:
    """The result with the pictures of ED and ES, or of the only frame, that are stored.

    Args:
        result: of a patient.
        folders: name of a case to the folder of its results.
    """
    m = result.measurements
    cases = dict.fromkeys(m.frames[number].name for number in (m.phases or {"": 0}).values())

    def stored(place: Any) -> tuple[bytes, ...]:
        paths = [place(folders[case], case) for case in cases]
        return tuple(path.read_bytes() for path in paths if path.is_file())

    return replace(
        result,
        picture=stack_jpegs(stored(contours_path)),
        disagreement=stored(disagreement_path),
    )


def _different_grids(records: Sequence[CaseRecord]) -> list[str]:
    """A warning of the first scan whose voxels are not those of the first one."""
    first, *others = records
    for other in others:
        try:
            if first.grid and other.grid:
                check_same_grid(other.grid.as_study(other.case), first.grid.as_study(first.case))
        except InputError as error:
            log.debug("%s", error)
            return [
                f"{first.case} and {other.case} differ in size or place; are both frames of one "
                "patient?"
            ]
    return []


def write_results(
    folder: Path,
    entries: Iterable[Entry],
    about: Mapping[str, str],
    options: TableOptions,
    parquet: bool = False,
) -> Summary:
    """Write the tables, and the report, of some cases, holding few patients in memory.

    Args:
        folder: where they go.
        entries: the cases.
        about: how the results were made, for the report: versions, model.
        options: what they hold.
        parquet: write each table as Parquet too.

    Raises:
        OutputError: a file cannot be written.
        RuntimeUnavailableError: pyarrow is not installed.
    """
    entries = list(entries)
    remarks = papillary_remark(options.papillary)
    table = patients_table(remarks, _shown_identifiers(entries, options))
    results = join_entries(entries, options, pictures=options.report)
    return write_patients(folder, results, table, about, options, parquet)


def write_patients(
    folder: Path,
    results: Iterable[PatientResult],
    table: Table[PatientResult],
    about: Mapping[str, str],
    options: TableOptions,
    parquet: bool = False,
) -> Summary:
    """Write the tables, and the report, of patients as they come.

    Of those with a follow-up the numbers are kept until the end.

    Args:
        folder: where they go.
        results: the patients.
        table: that of :func:`patients_table`, with all of its columns.
        about: how the results were made, for the report: versions, model.
        options: what they hold.
        parquet: write each table as Parquet too.

    Raises:
        OutputError: a file cannot be written.
        RuntimeUnavailableError: pyarrow is not installed.
    """
    summary = Summary()
    chains = options.overrides.follow_ups
    linked = {name for chain in chains for name in chain}
    studies: list[PatientResult] = []
    with ExitStack() as stack:
        tables = [table, FRAMES]
        tables += [SEGMENT_ROWS] if options.report else []
        tables += [BY_MODEL] if options.overrides.compare else []
        files = {
            table: stack.enter_context(open_atomic(folder / f"{table.name}.csv"))
            for table in tables
        }
        for table, file in files.items():
            file.write(csv_bytes(table.header, ()))
        columns = [
            stack.enter_context(ParquetTable(folder / f"{table.name}.parquet", table))
            for table in tables
            if parquet
        ]
        json_file = stack.enter_context(open_atomic(folder / "measurements.json"))
        patients = _JsonPatients(json_file)
        report = stack.enter_context(ReportWriter(folder, about)) if options.report else None
        for result in results:
            summary.add(result)
            if result.name in linked:
                studies.append(replace(result, picture=b"", disagreement=()))
            for table, file in files.items():
                file.write(encode_rows(table.csv_rows(result)))
            for column in columns:
                column.add(result)
            patients.add(result)
            if report:
                report.add(result)
        patients.close()
        if chains:
            follow_ups = compare_studies(chains, studies)
            _write_follow_ups(folder, follow_ups, parquet)
            if report:
                report.compare(follow_ups)
    return summary


def _write_follow_ups(folder: Path, follow_ups: Iterable[FollowUp], parquet: bool) -> None:
    write_atomic(folder / "follow_up.csv", FOLLOW_UPS.csv(follow_ups))
    if parquet:
        with ParquetTable(folder / "follow_up.parquet", FOLLOW_UPS) as file:
            for one in follow_ups:
                file.add(one)


def _shown_identifiers(entries: Sequence[Entry], options: TableOptions) -> tuple[str, ...]:
    if not options.keep_identifiers:
        return ()
    records = (read_record(entry.folder, entry.case) for entry in entries)
    return tuple(IDENTIFIERS) if any(record and record.identifiers for record in records) else ()


class _JsonPatients:
    """Writes ``measurements.json`` patient by patient."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._separator = b"\n"
        head = strict_json({"reference_ranges": SOURCE}).decode().rstrip().removesuffix("\n}")
        file.write(f'{head},\n "patients": {{'.encode())

    def add(self, result: PatientResult) -> None:
        content = strict_json({result.name: patient_json(result)}).decode()
        self._file.write(
            self._separator + content.strip().removeprefix("{\n").removesuffix("\n}").encode()
        )
        self._separator = b",\n"

    def close(self) -> None:
        self._file.write(b"\n }\n}\n")


def encode_results(
    results: Sequence[PatientResult],
    about: Mapping[str, str] | None = None,
    compared: bool = False,
    report: bool = True,
    follow_ups: Sequence[FollowUp] = (),
) -> dict[str, bytes]:
    """Tables of all patients, and the report, by file name.

    Args:
        results: the patients.
        about: what made the results, for the report: versions, model.
        compared: add ``by_model.csv``.
        report: add ``segments.csv`` and ``report.html``.
        follow_ups: studies of one patient, compared; add ``follow_up.csv``.
    """
    tables = [FRAMES] + [BY_MODEL] * compared + [SEGMENT_ROWS] * report
    files = {f"{table.name}.csv": table.csv(results) for table in tables}
    files["measurements.csv"] = patients_csv(results)
    files["measurements.json"] = strict_json(patients_json(results))
    if report:
        files[REPORT] = cohort_html(results, about or {})
    return files
