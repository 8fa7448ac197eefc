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


def terminal() -> Console | None:
    """Standard error, if lines can be erased there.

    A pipe is no terminal, even where FORCE_COLOR asks for colors in it.
    """
    console = Console(stderr=True)
    erases = console.is_terminal and console.file.isatty() and not console.is_dumb_terminal
    return console if erases else None


def progress(*columns: str | ProgressColumn, hidden: bool = False) -> Progress:
    """A bar, the count and ``columns`` before the remaining time; use it with ``with``."""
    console = terminal()
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=hidden or console is None,
        transient=True,
    )


@contextmanager
def bar(
    *columns: str | ProgressColumn, hidden: bool = False
) -> Iterator[Callable[[int, int | None], None]]:
    """A bar; yields the function to call with the number done and the total, if it is known."""
    with progress(*columns, hidden=hidden) as shown:
        task = shown.add_task("", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def spinner() -> Iterator[Callable[[str], None]]:
    """A spinner; yields the function to call with the name of each stage as it begins."""
    console = terminal()
    if console is None:
        yield lambda stage: None
        return
    with console.status("") as status:
        yield status.update
