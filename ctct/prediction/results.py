"""The results of all patients of a run: joined from their scans, encoded as tables and report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from threading import Lock

from ctct.cases.case import Case
from ctct.errors import InputError
from ctct.io.dicom.identifiers import read_identifiers
from ctct.io.label_maps import check_same_grid
from ctct.measurement.patient import PatientResult
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.case_result import CaseResult
from ctct.prediction.comparison import indices_by_model
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.prediction.patients import find_context, frame_numbers
from ctct.report.report_page import cohort_html
from ctct.report.tables import by_model_csv, frames_csv, patients_csv, patients_json, segments_csv
from ctct.storage import strict_json

log = logging.getLogger(__name__)

#: Files of :func:`encode_results`.
TABLES = (
    *("measurements.csv", "measurements.json", "frames.csv", "by_model.csv", "segments.csv"),
    "report.html",
)
#: Patients whose pictures the report shows; with more, the page would be too large for a browser.
MAX_PICTURED_PATIENTS = 300


class PatientCollector:
    """Joins the scans of each patient as soon as the last of them is done.

    After that their voxels are not needed: what stays of a patient is numbers and a few pictures.

    Attributes:
        pictured: names of the cases that the report shows pictures of.
    """

    def __init__(self, cases: Sequence[Case], options: PredictOptions) -> None:
        """Prepare for the results of ``cases``."""
        self._options = options
        self._patients: dict[str, list[Case]] = {}
        for case in cases:
            self._patients.setdefault(case.patient, []).append(case)
        shown = islice(self._patients.values(), MAX_PICTURED_PATIENTS if options.report else 0)
        self.pictured = frozenset(case.name for scans in shown for case in scans)
        self._pending = {
            patient: {case.name for case in scans} for patient, scans in self._patients.items()
        }
        self._done: dict[str, dict[str, CaseResult]] = {}
        self._results: dict[str, list[PatientResult]] = {}
        self._lock = Lock()

    def add(self, case: Case, result: CaseResult | None) -> None:
        """Take the result of a case, None where it failed; may be called on any thread."""
        with self._lock:
            pending = self._pending[case.patient]
            if case.name not in pending:
                return
            pending.remove(case.name)
            done = self._done.setdefault(case.patient, {})
            if result:
                done[case.name] = result
            if pending:
                return
            del self._done[case.patient]
        measured = [c for c in self._patients[case.patient] if c.name in done]
        if len(measured) > 1 and any(len(scan.frames) > 1 for scan in done.values()):
            log.warning("%s: its files are cines; each is a patient of its own", case.patient)
            self._results[case.patient] = [self._join(c.name, [c], done) for c in measured]
        elif measured:
            self._results[case.patient] = [self._join(case.patient, measured, done)]

    def results(self) -> list[PatientResult]:
        """The patients of whom a scan was measured, in the order of the cases."""
        return [result for patient in self._patients for result in self._results.get(patient, ())]

    def _join(
        self, name: str, cases: Sequence[Case], done: Mapping[str, CaseResult]
    ) -> PatientResult:
        measured = sorted(cases, key=_order)
        scans = [done[case.name] for case in measured]
        options = self._options
        context = None
        if len(scans) > 1:
            numbers = [n for case in measured for n in frame_numbers(case, 1)]
            context = find_context(measured, numbers, options.overrides)
            lost = [c.path.name for c in self._patients[cases[0].patient] if c.name not in done]
            warnings = [f"frames that could not be used: {', '.join(lost)}"] if lost else []
            warnings += _different_grids(scans)
            context = replace(context, warnings=(*context.warnings, *warnings))
        result = join_cases(scans, context, name)
        identifiers: dict[str, str] = {}
        if options.keep_identifiers:
            for case in measured:
                identifiers |= read_identifiers(case.series) if case.series else {}
        result = replace(
            result,
            by_model=indices_by_model(
                result.measurements, options.overrides.compare, options.label_order
            ),
            identifiers=identifiers,
        )
        if not options.report:
            return result
        try:
            return add_phases(result, scans, pictures=scans[0].name in self.pictured)
        except Exception as error:  # one strange scan must not cost the patient's other results
            log.warning(
                "%s: no pictures, unexpected %s: %s", result.name, type(error).__name__, error
            )
            log.debug("%s", result.name, exc_info=True)
            return result


def _order(case: Case) -> tuple[int, str]:
    """By the number of the frame; ED comes before ES."""
    return case.number or 0, case.phase


def _different_grids(scans: Sequence[CaseResult]) -> list[str]:
    """A warning of the first scan whose voxels are not those of the first one."""
    for scan in scans[1:]:
        try:
            check_same_grid(scan.study, scans[0].study)
        except InputError as error:
            log.debug("%s", error)
            return [
                f"{scans[0].name} and {scan.name} differ in size or place; are both frames of one "
                "patient?"
            ]
    return []


def encode_results(
    results: Sequence[PatientResult],
    about: Mapping[str, str] | None = None,
    compared: bool = False,
    report: bool = True,
) -> dict[str, bytes]:
    """Tables of all patients, and the report, by file name.

    Args:
        results: the patients.
        about: what made the results, for the report: versions, model.
        compared: add ``by_model.csv``.
        report: add ``segments.csv`` and ``report.html``.
    """
    files = {
        "measurements.csv": patients_csv(results),
        "measurements.json": strict_json(patients_json(results)),
        "frames.csv": frames_csv(results),
    }
    if compared:
        files["by_model.csv"] = by_model_csv(results)
    if report:
        files["segments.csv"] = segments_csv(results)
        files["report.html"] = cohort_html(results, about or {})
    return files
