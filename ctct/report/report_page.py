"""``report.html``: a table of all patients, then a section per patient; of many, on pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import (
    DICE_REJECT,
    DICE_REVIEW,
    SCORE_REJECT,
    SCORE_REVIEW,
    VERDICTS,
)
from ctct.measurement.ranges import SOURCE
from ctct.report.follow_up import Compared, follow_up_html
from ctct.report.html import read_script, render
from ctct.report.patient_page import patient_html
from ctct.storage import write_atomic

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


#: With more patients the report has pages of so many, and an index: one page would be too large
#: for a browser.
MAX_ON_ONE_PAGE, PER_PAGE = 200, 100
#: With more patients the index lists the pages alone.
MAX_LISTED = 5000
_PAGES = "report"


@dataclass(frozen=True)
class PatientRow:
    """A row of the table of patients.

    Attributes:
        name: the patient.
        href: of its section.
        verdict: "ok", "review" or "reject".
        score: how doubtful the labels are.
        values: indices, those of :data:`COLUMNS`; None where not known.
    """

    name: str
    href: str
    verdict: str
    score: float
    values: tuple[float | None, ...]

    @classmethod
    def of(cls, result: PatientResult, href: str) -> Self:
        """The row of a patient."""
        indices = result.measurements.indices
        judgement = result.judgement
        values = tuple(indices.get(column) for column in COLUMNS)
        return cls(result.name, href, judgement.verdict, judgement.score, values)


def cohort_html(
    results: Sequence[PatientResult],
    about: Mapping[str, str],
    back: str = "",
    follow_ups: Sequence[Compared] = (),
) -> bytes:
    """The report as HTML that loads nothing.

    Args:
        results: the patients, in order.
        about: how the results were made: versions, model, runtime.
        back: which page of how many it is; "" for a report of one page.
        follow_ups: studies of one patient, compared.
    """
    page = render(
        "cohort.html",
        results=results,
        rows=[PatientRow.of(result, f"#p{n}") for n, result in enumerate(results)],
        verdicts=VERDICTS,
        script=read_script("patients.js") if results else "",
        counts=_count(Counter(result.judgement.verdict for result in results)),
        about=[f"{name} {value}" for name, value in about.items()],
        columns=list(COLUMNS),
        score_review=SCORE_REVIEW,
        score_reject=SCORE_REJECT,
        dice_review=DICE_REVIEW,
        dice_reject=DICE_REJECT,
        source=SOURCE,
        follow_ups=follow_up_html(follow_ups),
        patients=[patient_html(result, f"p{n}") for n, result in enumerate(results)],
        back=back,
    )
    return page.encode()


def _count(verdicts: Mapping[str, int]) -> list[str]:
    return [f"{verdicts[v]} {v}" for v in VERDICTS if verdicts.get(v)]


@dataclass(frozen=True)
class PageEntry:
    """A page of the report, in the index.

    Attributes:
        href: the file.
        first: name of its first patient.
        last: name of its last patient.
        verdicts: verdict to the number of patients.
    """

    href: str
    first: str
    last: str
    verdicts: Mapping[str, int]


class ReportWriter:
    """Writes ``report.html`` patient by patient: one page, or an index and pages.

    Args:
        folder: where it goes; the pages go into ``report`` there.
        about: how the results were made: versions, model, runtime.
    """

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self._folder, self._about = folder, about
        self._held: list[PatientResult] = []
        self._pages: list[PageEntry] = []
        self._rows: list[PatientRow] = []
        self._follow_ups: Sequence[Compared] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self._close()

    def add(self, result: PatientResult) -> None:
        """Add a patient."""
        self._held.append(result)
        is_long = bool(self._pages) or len(self._held) > MAX_ON_ONE_PAGE
        while is_long and len(self._held) >= PER_PAGE:
            self._write_page()

    def compare(self, follow_ups: Sequence[Compared]) -> None:
        """Show studies of one patient side by side, before all patients."""
        self._follow_ups = follow_ups

    def _write_page(self) -> None:
        shown, self._held = self._held[:PER_PAGE], self._held[PER_PAGE:]
        number = len(self._pages) + 1
        path = self._folder / _PAGES / f"page_{number:04}.html"
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, cohort_html(shown, self._about, f"Page {number}"))
        verdicts = Counter(result.judgement.verdict for result in shown)
        href = f"{_PAGES}/{path.name}"
        if len(self._rows) <= MAX_LISTED:
            self._rows += [PatientRow.of(r, f"{href}#p{n}") for n, r in enumerate(shown)]
        self._pages.append(PageEntry(href, shown[0].name, shown[-1].name, verdicts))

    def _close(self) -> None:
        if self._pages:
            if self._held:
                self._write_page()
            rows = self._rows if len(self._rows) <= MAX_LISTED else []
            total = sum((Counter(page.verdicts) for page in self._pages), Counter[str]())
            page = render(
                "pages.html",
                pages=self._pages,
                patients=total.total(),
                counts=_count(total),
                verdicts=VERDICTS,
                rows=rows,
                columns=list(COLUMNS),
                script=read_script("patients.js") if rows else "",
                about=[f"{name} {value}" for name, value in self._about.items()],
                follow_ups=follow_up_html(self._follow_ups),
            ).encode()
        else:
            page = cohort_html(self._held, self._about, follow_ups=self._follow_ups)
        write_atomic(self._folder / "report.html", page)
        written = {Path(page.href).name for page in self._pages}
        for former in (self._folder / _PAGES).glob("page_*.html"):
            if former.name not in written:
                former.unlink()
