"""``report.html``: a table of all patients, then a page per patient, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import SCORE_REJECT, SCORE_REVIEW, VERDICTS
from ctct.measurement.ranges import SOURCE
from ctct.report.html import render
from ctct.report.patient_page import patient_html

#: Indices in the table of all patients.
COLUMNS = (
    "LVEDV (mL)",
    "LVESV (mL)",
    "LVEF (%)",
    "LVM (g)",
    "RVEDV (mL)",
    "RVESV (mL)",
    "RVEF (%)",
)


def cohort_html(results: Sequence[PatientResult], about: Mapping[str, str]) -> bytes:
    """The report as HTML that loads nothing.

    Args:
        results: the patients, in order.
        about: how the results were made: versions, model, runtime.
    """
    verdicts = [result.judgement.verdict for result in results]
    page = render(
        "cohort.html",
        results=results,
        counts=[f"{verdicts.count(v)} {v}" for v in VERDICTS if v in verdicts],
        about=[f"{name} {value}" for name, value in about.items()],
        columns=list(COLUMNS),
        score_review=SCORE_REVIEW,
        score_reject=SCORE_REJECT,
        source=SOURCE,
        patients=[patient_html(result, f"p{n}") for n, result in enumerate(results)],
    )
    return page.encode()
