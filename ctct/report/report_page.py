"""``report.html``: a cohort on one page, then a page a patient, all in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import VERDICTS
from ctct.measurement.ranges import SOURCE
from ctct.report.html import Markup, number, page, table, tag
from ctct.report.patient_page import patient_html, pill

#: Indices shown of every patient.
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
    """The whole report.

    Args:
        results: the patients, in order.
        about: what made the results: versions, model, runtime.
    """
    counts = ", ".join(
        f"{n} {verdict}"
        for verdict in VERDICTS
        if (n := sum(result.judgement.verdict == verdict for result in results))
    )
    notes = "; ".join(f"{name} {value}" for name, value in about.items())
    return page(
        "ctct report",
        tag("h1", "Heart segmentation report"),
        tag("p", f"{len(results)} patients: {counts}." if results else "No patient was measured."),
        tag("p", f"Research use only: not a medical device. {notes}.", class_="note"),
        _overview(results) if results else "",
        tag(
            "p",
            "Volumes sum the area of each slice times the slice spacing. Mass is of 1.05 g/mL. "
            "Disagreement is half the L1 distance between the class probabilities of the two "
            f"networks. Ranges: {SOURCE}; outside is no diagnosis. Segments are those of the "
            "American Heart Association, oriented by the RV's insertion points.",
            class_="note",
        ),
        *(patient_html(result, f"p{n}") for n, result in enumerate(results)),
    )


def _overview(results: Sequence[PatientResult]) -> Markup:
    rows = []
    for n, result in enumerate(results):
        indices = result.measurements.indices
        rows.append(
            [
                tag("a", result.name, href=f"#p{n}"),
                pill(result.judgement.verdict),
                number(result.judgement.score, 2),
                *(number(indices.get(column)) for column in COLUMNS),
            ]
        )
    return table(["patient", "verdict", "score", *COLUMNS], rows)
