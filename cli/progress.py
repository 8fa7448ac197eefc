"""Progress on standard error: gone at the end, and silent where that is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text


class SpeedColumn(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        """The speed, once it is known."""
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


def progress(*columns: str | ProgressColumn) -> Progress:
    """A bar, the count and ``columns`` before the remaining time; use it with ``with``."""
    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


@contextmanager
def bar(*columns: str | ProgressColumn) -> Iterator[Callable[[int, int], None]]:
    """A bar; yields the function to call with the number done and the total."""
    with progress(*columns) as shown:
        task = shown.add_task("", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def spinner() -> Iterator[Callable[[str], None]]:
    """A spinner; yields the function to call with the name of each stage as it begins."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda stage: None
        return
    with console.status("") as status:
        yield status.update
