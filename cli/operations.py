"""What a run tells the machinery around it: a log in JSON, metrics, and how it is stopped."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ctct.cases.case import Case
from ctct.errors import EXIT_STOPPED, OutputError
from ctct.prediction.pipeline import Observer
from ctct.prediction.results import Summary
from ctct.prediction.run_manifest import CaseStatus
from ctct.storage import write_atomic

#: A run that was told to stop ends by itself, or after so many seconds.
MAX_STOPPING_S = 25.0
#: Metrics are written this often at most.
METRICS_EVERY_S = 5.0


class Observers(Observer):
    """Passes everything on to several observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def run_started(self, cases: int | None) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.run_started(cases)

    def case_taken(self) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.case_taken()

    def slices_done(self, case: Case, done: int, total: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.slices_done(case, done, total)

    def case_ended(self, case_status: CaseStatus) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.case_ended(case_status)

    def patients_measured(self, summary: Summary) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.patients_measured(summary)


def log_event(event: str, **values: object) -> None:
    """Write a line of JSON to standard error."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(json.dumps({"time": now, "event": event, **values}) + "\n")
    sys.stderr.flush()


class JsonHandler(logging.Handler):
    """Writes each message as a line of JSON, without names and paths: what stands for them only."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        try:
            where = record.name.removeprefix("ctct.")
            message = str(record.msg) if record.args else ""
            log_event("message", level=record.levelname.lower(), where=where, message=message)
        except Exception:  # as in logging.StreamHandler: no message may end the program
            self.handleError(record)


class JsonLog(Observer):
    """Writes a line of JSON for each event. A scan is named by a hash of its content."""

    def __init__(self) -> None:
        self._ended: Counter[str] = Counter()
        self._has_begun = False

    def run_started(self, cases: int | None) -> None:
        """How many cases there are."""
        log_event(
            "run_started" if cases is None or not self._ended else "search_ended", cases=cases
        )

    def case_ended(self, case_status: CaseStatus) -> None:
        """How a case ended."""
        self._ended[case_status.status] += 1
        log_event(
            "case_ended",
            number=self._ended.total(),
            scan=str(case_status.scan.get("digest", ""))[:16],
            status=case_status.status,
            slices=case_status.slices,
            seconds=case_status.seconds,
            flags=len(case_status.flags),
        )

    def patients_measured(self, summary: Summary) -> None:
        """What the tables hold."""
        log_event("tables_written", patients=summary.patients, verdicts=summary.verdicts)

    def end(self, exit_code: int) -> None:
        """The run ends."""
        log_event("run_ended", exit_code=exit_code, **self._ended)


class Metrics(Observer):
    """Writes a text file in the format of Prometheus, for its node exporter.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began_s, self._began = time.monotonic(), time.time()
        self._written_s = -METRICS_EVERY_S
        self._ended: Counter[str] = Counter(done=0, skipped=0, failed=0)
        self._taken = self._slices = 0
        self._cases: int | None = None
        self._write()  # raises at once where that is not possible

    def run_started(self, cases: int | None) -> None:
        """How many cases there are."""
        self._cases = cases

    def case_taken(self) -> None:
        """Another case is under way."""
        self._taken += 1

    def case_ended(self, case_status: CaseStatus) -> None:
        """Count a case."""
        self._ended[case_status.status] += 1
        self._slices += case_status.slices if case_status.status == "done" else 0
        if time.monotonic() - self._written_s >= METRICS_EVERY_S:
            with suppress(OutputError):  # a run does not end for want of metrics
                self._write()

    def end(self) -> None:
        """Write the last numbers."""
        with suppress(OutputError):
            self._write()

    def _write(self) -> None:
        self._written_s = time.monotonic()
        seconds = max(self._written_s - self._began_s, 1e-9)
        rows: list[tuple[str, str, str, list[tuple[str, float]]]] = [
            (
                "cases_total",
                "counter",
                "Cases that ended, by status.",
                [(f'{{status="{status}"}}', count) for status, count in self._ended.items()],
            ),
            ("slices_total", "counter", "Slices segmented.", [("", self._slices)]),
            (
                "slices_per_second",
                "gauge",
                "Mean speed of this run.",
                [("", round(self._slices / seconds, 3))],
            ),
            (
                "cases_running",
                "gauge",
                "Cases that are read, segmented or written.",
                [("", self._taken - self._ended.total())],
            ),
            ("start_time_seconds", "gauge", "When the run began.", [("", round(self._began, 3))]),
        ]
        if self._cases is not None:
            rows.append(("cases_found", "gauge", "Cases of this run.", [("", self._cases)]))
        lines = []
        for name, kind, text, values in rows:
            lines += [f"# HELP ctct_{name} {text}", f"# TYPE ctct_{name} {kind}"]
            lines += [f"ctct_{name}{labels} {value}" for labels, value in values]
        write_atomic(self._path, ("\n".join(lines) + "\n").encode())


@contextmanager
def stop_on_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets; the process ends itself where the run does not end in time."""
    stop = threading.Event()

    def end(*_: object) -> None:
        if not stop.is_set():
            stop.set()
            timer = threading.Timer(MAX_STOPPING_S, os._exit, (EXIT_STOPPED,))
            timer.daemon = True
            timer.start()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = signal.signal(signal.SIGTERM, end)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, former)
