"""Measuring a folder of results again with corrected label maps; what ``ctct measure`` does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ctct.cases.case import Case
from ctct.cases.case_names import group_by
from ctct.correction.automatic import AutomaticResults, read_automatic
from ctct.correction.changes import FrameChange, describe_changes
from ctct.correction.edited_files import EditedFile
from ctct.correction.find_corrections import find_corrections
from ctct.correction.measured_case import RECORDS, MeasuredCase, measure_case
from ctct.correction.tables import EDITS, TABLES, edits_csv
from ctct.errors import ConfigError
from ctct.measurement.papillary import LABELS, papillary_remark
from ctct.measurement.patient import PatientResult
from ctct.prediction.case_result import CaseResult
from ctct.prediction.follow_ups import with_follow_ups
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.prediction.patients import Overrides, frame_numbers, join_context
from ctct.prediction.results import TableOptions, write_patients
from ctct.prediction.run_manifest import (
    FAILED,
    CaseStatus,
    check_files_of_others,
    write_manifest,
)
from ctct.report.tables import patients_table
from ctct.storage import lock_folder, prepare_folder, remove_partials, write_atomic

log = logging.getLogger(__name__)

#: The folder below the results for what is measured.
MEASURED = "measured"
#: The column that says what was edited.
EDITED_COLUMN = "edited"
_IN_PLACE = "corrected in place; the automatic labels were not kept"


@dataclass(frozen=True)
class MeasureOptions:
    """Options of ``ctct measure``.

    Attributes:
        overrides: what the user says of the patients.
        papillary: what the papillary muscles count with, of
            :data:`ctct.measurement.papillary.CHOICES`.
        follow_up: studies to compare; see :func:`ctct.prediction.follow_ups.find_chains`.
        subjects: the table of subjects, for the studies that it links.
        report: also write ``segments.csv`` and ``report.html``.
    """

    overrides: Overrides = field(default_factory=Overrides)
    papillary: str = LABELS
    follow_up: tuple[str, ...] = ()
    subjects: Path | None = None
    report: bool = True


def measure_folder(
    results: Path,
    edited: Path | None = None,
    out: Path | None = None,
    options: MeasureOptions | None = None,
    on_case: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[list[CaseStatus], list[PatientResult]]:
    """Measure results again, with the corrected labels where there are some.

    The automatic results stay. A case whose corrected file cannot be used fails, and the others go
    on. A case that an earlier call measured from the same files is not read again.

    Args:
        results: folder that ``ctct predict`` wrote.
        edited: folder of corrected label maps; ``results/edited`` where left out, if it exists.
        out: folder for what is measured; ``results/measured`` where left out.
        options: see :class:`MeasureOptions`.
        on_case: told the number of cases done and their total.

    Returns:
        The status of each case, and of each corrected file that belongs to none; and the patients.

    Raises:
        InputError: ``results`` or ``edited`` cannot be used.
        ConfigError: ``out`` or ``edited`` is ``results``, or ``out`` holds other files.
        OutputError: ``out`` cannot be written.
    """
    options = options or MeasureOptions()
    automatic = read_automatic(results)
    out = out or results / MEASURED
    if out.resolve() == results.resolve():
        raise ConfigError(f"-o {out}: holds the automatic results, which stay; give another folder")
    if edited and edited.resolve() == results.resolve():
        raise ConfigError(
            f"--edited {edited}: holds the automatic label maps; put the corrected ones in a "
            "folder of their own"
        )
    files, problems = find_corrections(results, automatic.patients, edited)
    prepare_folder(out)
    with lock_folder(out):
        for folder in (out, out / RECORDS):
            remove_partials(folder)
        check_files_of_others(out, TABLES)
        return _measure(automatic, files, problems, out, options, on_case)


def _measure(
    automatic: AutomaticResults,
    files: Mapping[str, list[EditedFile]],
    problems: Mapping[Path, str],
    out: Path,
    options: MeasureOptions,
    on_case: Callable[[int, int], object],
) -> tuple[list[CaseStatus], list[PatientResult]]:
    started = time.monotonic()
    for name in options.overrides.subjects.keys() - {case.patient for case in automatic.cases}:
        log.warning("--subjects: %s is none of the patients", name)
    subjects = {**automatic.tables.overrides.subjects, **options.overrides.subjects}
    overrides, problems_of_table = with_follow_ups(
        replace(options.overrides, subjects=subjects),
        options.follow_up,
        automatic.cases,
        options.subjects,
    )
    for problem in problems_of_table:
        log.warning("%s", problem)
    options = replace(options, overrides=overrides)
    label_order = automatic.tables.label_order
    manifest: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {"label_order": label_order, "papillary": options.papillary},
        "inputs": {case.name: case.identity for case in automatic.cases},
        "versions": automatic.about,
    }
    write_manifest(out, manifest)
    run = _Run(automatic, files, out, options, on_case)
    table = patients_table((EDITED_COLUMN, *papillary_remark(options.papillary)))
    tables = TableOptions(overrides, label_order, options.report)
    write_patients(out, run.measure(), table, automatic.about, tables)
    write_atomic(out / EDITS, edits_csv(run.changes))
    statuses = run.statuses
    statuses += [CaseStatus(path.name, str(path), FAILED, why) for path, why in problems.items()]
    manifest |= {
        "seconds": round(time.monotonic() - started, 3),
        "cases": [asdict(status) for status in statuses],
    }
    write_manifest(out, manifest)
    return statuses, run.patients


@dataclass(frozen=True)
class _Run:
    """Measures one patient after the other, and keeps what is told of all of them."""

    automatic: AutomaticResults
    files: Mapping[str, list[EditedFile]]
    out: Path
    options: MeasureOptions
    on_case: Callable[[int, int], object]
    statuses: list[CaseStatus] = field(default_factory=list)
    changes: list[FrameChange] = field(default_factory=list)
    patients: list[PatientResult] = field(default_factory=list)

    def measure(self) -> Iterator[PatientResult]:
        """The patients; those kept have no pictures."""
        for group in group_by(self.automatic.cases, lambda case: case.patient):
            scans = sorted(group, key=lambda case: (case.number or 0, case.phase))
            done = [one for case in scans if (one := self._measure_case(case))]
            for parts in _split_cines(done):
                result = _join(parts, scans, self.options)
                self.patients.append(replace(result, picture=b"", disagreement=()))
                yield result

    def _measure_case(self, case: Case) -> MeasuredCase | None:
        options = self.options
        one, status = measure_case(
            *(case, self.files.get(case.name, ()), self.automatic, self.out, options.overrides),
            image=options.report,
            papillary=options.papillary,
        )
        self.statuses.append(status)
        self.changes.extend(one.changes.by_frame if one and one.changes else ())
        self.on_case(len(self.statuses), len(self.automatic.cases))
        return one


def _split_cines(done: Sequence[MeasuredCase]) -> list[Sequence[MeasuredCase]]:
    """The cases of one patient; each is a patient of its own where one is a cine."""
    if len(done) > 1 and any(len(one.edited.frames) > 1 for one in done):
        return [[one] for one in done]
    return [done] if done else []


def _join(
    parts: Sequence[MeasuredCase], scans: Sequence[Case], options: MeasureOptions
) -> PatientResult:
    edited = [one.edited for one in parts]
    before = _join_results(parts, [one.automatic for one in parts], scans, options)
    result = _join_results(parts, edited, scans, options)
    is_in_place = any(one.is_in_place for one in parts)
    changes = [one.changes for one in parts if one.changes]
    said = describe_changes(
        changes, None if is_in_place else before.measurements, result.measurements
    )
    remarks = {EDITED_COLUMN: "; ".join(filter(None, (_IN_PLACE * is_in_place, said)))}
    result = replace(result, remarks=remarks | papillary_remark(options.papillary))
    return add_phases(result, edited) if options.report else result


def _join_results(
    parts: Sequence[MeasuredCase],
    results: Sequence[CaseResult],
    scans: Sequence[Case],
    options: MeasureOptions,
) -> PatientResult:
    cases = [one.case for one in parts]
    is_cine = len(parts) == 1 and len(scans) > 1 and len(results[0].frames) > 1
    name = cases[0].name if is_cine else cases[0].patient
    if len(results) == 1 and len(scans) == 1:
        return join_cases(results, None, name)
    numbers = [n for case in cases for n in frame_numbers(case, 1)]
    headers = [one.header for one in parts]
    context = join_context(cases, headers, numbers, options.overrides)
    if lost := [scan.name for scan in scans if scan not in cases]:
        warning = f"frames that could not be used: {', '.join(lost)}"
        context = replace(context, warnings=(*context.warnings, warning))
    return join_cases(results, context, name)
