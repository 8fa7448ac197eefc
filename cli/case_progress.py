"""The progress of ``ctct predict``: cases, and the slices of the cases at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress, TextColumn

from ctct.cases.case import Case
from ctct.cli.progress import progress
from ctct.prediction.pipeline import Observer
from ctct.prediction.results import Summary
from ctct.prediction.run_manifest import CaseStatus


class CaseProgress(Observer):
    """Moves a bar by whole cases, and by the completed part of each case at work.

    Attributes:
        summary: of the patients of the run, once they are measured.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._task = shown.add_task("", total=None, at="")
        self._ended = 0
        self._parts: dict[str, float] = {}
        self.summary = Summary()

    def run_started(self, cases: int | None) -> None:
        """Show how many cases there are."""
        self._shown.update(self._task, total=cases)

    def slices_done(self, case: Case, done: int, total: int) -> None:
        """Count the part of the case that is done."""
        self._parts[case.name] = done / total
        self._update(f"{case.name}, slice {done}/{total}")

    def export_stage(self, stage: str) -> None:
        """Show what the export of a variant is doing."""
        self._shown.update(self._task, at=stage)

    def case_ended(self, case_status: CaseStatus) -> None:
        """Count the whole case."""
        self._ended += 1
        self._parts.pop(case_status.case, None)
        self._update(case_status.case)

    def patients_measured(self, summary: Summary) -> None:
        """Keep what the last line of the run says of the patients."""
        self.summary = summary

    def _update(self, at: str) -> None:
        completed = self._ended + sum(self._parts.values())
        self._shown.update(self._task, completed=completed, at=at)


@contextmanager
def case_progress() -> Iterator[CaseProgress]:
    """A bar over the cases of a run; yields the observer that moves it."""
    with progress(TextColumn("{task.fields[at]}", markup=False)) as shown:
        yield CaseProgress(shown)
