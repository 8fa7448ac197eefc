"""Progress bars; silent when standard error is not a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ctct.io.case import Case
from ctct.predict.pipeline import Observer
from ctct.predict.run_manifest import CaseStatus


class ProgressBar(Observer):
    """Cases done of ``total``, and how far the last one seen is."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[at]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, at="")
        self._ended = 0
        self._parts: dict[str, float] = {}  # of the cases at work

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def slices_done(self, case: Case, done: int, total: int) -> None:
        """Show how far the case is; its share counts towards the bar."""
        self._parts[case.name] = done / total
        self._show(f"{case.name}, slice {done}/{total}")

    def case_ended(self, case_status: CaseStatus) -> None:
        """Move on by a whole case."""
        self._ended += 1
        self._parts.pop(case_status.case, None)
        self._show(case_status.case)

    def _show(self, at: str) -> None:
        completed = self._ended + sum(self._parts.values())
        self._progress.update(self._task, completed=completed, at=at)


class CaseBar:
    """Cases done of a total that is known once the first is."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> CaseBar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def done(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` cases are finished."""
        self._progress.update(self._task, completed=done, total=total)


class StepBar:
    """Steps done of a training run, steps a second and the time left."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, rate="")

    def __enter__(self) -> StepBar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def step_done(self, step: int, steps: int) -> None:
        """Move on to ``step`` of ``steps``."""
        speed = self._progress.tasks[0].speed
        rate = f"{speed:.2f}/s" if speed else ""
        self._progress.update(self._task, completed=step, total=steps, rate=rate)


class Spinner:
    """What is being done, beside a sign of life."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._status = console.status("") if console.is_terminal else None

    def __enter__(self) -> Spinner:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status:
            self._status.stop()

    def say(self, stage: str) -> None:
        """Show another stage."""
        if self._status:
            self._status.update(stage)
