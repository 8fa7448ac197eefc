"""What TensorRT calls back while it builds: its log, and its progress."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

#: Told the steps done of a phase of the build, all of them, and the phase's name. Phases nest, and
#: it is called from another thread.
Observe = Callable[[int, int, str], object]


def make_logger(trt: Any, complaints: list[str]) -> Any:
    """A TensorRT logger that writes to ours and keeps the errors."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                complaints.append(message)
            log.debug("%s: %s", trt.__name__, message)

    return Logger()


def make_monitor(
    trt: Any, stop: threading.Event, observe: Observe, fail: Callable[[BaseException], None]
) -> Any:
    """A progress monitor that tells ``observe``, and ends the build when ``stop`` is set."""
    totals: dict[str, int] = {}

    def tell(done: int, name: str) -> None:
        try:
            observe(done, totals.get(name, done), name)
        except BaseException as error:  # must not pass through TensorRT
            fail(error)

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            totals[phase_name] = num_steps
            tell(0, phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            tell(step + 1, phase_name)
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            totals.pop(phase_name, None)

    return Monitor()
