"""Ctrl-C and SIGTERM during a run, which saves before it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ctct.errors import EXIT_INTERRUPTED, CtctError


class StoppedError(CtctError):
    """The run was stopped from outside, and saved."""

    exit_code = EXIT_INTERRUPTED


@contextmanager
def catch_interruption() -> Iterator[Callable[[], bool]]:
    """Catch Ctrl-C and SIGTERM, which then do not end the process; tells whether one came."""
    caught: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        former = [signal.signal(number, remember) for number in signals]
    except ValueError:  # not the main thread, so the caller handles signals
        yield lambda: False
        return
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in zip(signals, former, strict=True):
            signal.signal(number, handler)
