"""The results of all patients of a run: joined from their scans, encoded as tables and report."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Lock

from ctct.io.case import Case
from ctct.io.dicom.identifiers import read_identifiers
from ctct.io.patient_info import patient_and_frame
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
        self._patients: dict[tuple[Path, str], list[Case]] = {}
        for case in cases:
            self._patients.setdefault(_patient(case), []).append(case)
        shown = islice(self._patients.values(), MAX_PICTURED_PATIENTS if options.report else 0)
        self.pictured = frozenset(case.name for scans in shown for case in scans)
        self._pending = {
            patient: {case.name for case in scans} for patient, scans in self._patients.items()
        }
        #: Of patients of the same name in different folders, the folder becomes part of the name.
        self._names = Counter(name for _, name in self._patients)
        self._done: dict[tuple[Path, str], dict[str, CaseResult]] = {}
        self._results: dict[tuple[Path, str], PatientResult] = {}
        self._lock = Lock()

    def add(self, case: Case, result: CaseResult | None) -> None:
        """Take the result of a case, None where it failed; may be called on any thread."""
        patient = _patient(case)
        with self._lock:
            pending = self._pending[patient]
            if case.name not in pending:
                return
            pending.remove(case.name)
            done = self._done.setdefault(patient, {})
            if result:
                done[case.name] = result
            if pending:
                return
            del self._done[patient]
        if done:
            joined = self._join(self._patients[patient], done)
            folder, name = patient
            if self._names[name] > 1:
                joined = replace(joined, name=f"{folder.name}_{name}")
            self._results[patient] = joined

    def results(self) -> list[PatientResult]:
        """The patients of whom a scan was measured, in the order of the cases."""
        return [self._results[patient] for patient in self._patients if patient in self._results]

    def _join(self, cases: Sequence[Case], done: Mapping[str, CaseResult]) -> PatientResult:
        measured = sorted((case for case in cases if case.name in done), key=_frame_number)
        scans = [done[case.name] for case in measured]
        options = self._options
        context = None
        if len(scans) > 1:
            numbers = [n for scan in scans for n in frame_numbers(scan.name, len(scan.frames))]
            context = find_context(measured, numbers, options.overrides)
        result = join_cases(scans, context)
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


def _patient(case: Case) -> tuple[Path, str]:
    return case.path.parent, patient_and_frame(case.name)[0]


def _frame_number(case: Case) -> int:
    return patient_and_frame(case.name)[1] or 0


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
