"""Read, segment and write many cases at the same time, holding few of them in memory.

Threads read a few cases ahead of the runtime, and other threads write after it; those that are too
fast wait. So memory does not grow with the number of cases, and the runtime does not wait for
files.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from threading import Event
from typing import TypeVar

from ctct.cases.case import Case
from ctct.cases.remote import discard
from ctct.errors import ConfigError, CtctError, InputError, OutputError
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.prediction.case_files import CaseFiles
from ctct.prediction.results import Summary
from ctct.prediction.run_manifest import DONE, FAILED, SKIPPED, CaseStatus

log = logging.getLogger(__name__)

#: Number of threads that read, and that write, and of cases that either may be ahead or behind.
READERS, WRITERS, AHEAD = 2, 2, 3

T = TypeVar("T")
R = TypeVar("R")


class Observer:
    """Told of the progress of a run, in the thread that started it; this one does nothing."""

    def run_started(self, cases: int | None) -> None:
        """That many cases were found; None while the search goes on, and again at its end."""

    def case_taken(self) -> None:
        """The next case is read."""

    def slices_done(self, case: Case, done: int, total: int) -> None:
        """That many of a case's slices are segmented."""

    def case_ended(self, case_status: CaseStatus) -> None:
        """A case is done, skipped or failed."""

    def patients_measured(self, summary: Summary) -> None:
        """The run ends with these patients."""


@dataclass(frozen=True)
class Limits:
    """When a case, or the run, is given up.

    Attributes:
        case_s: seconds that segmenting a case may take; None for any time.
        max_failures: the run takes no more cases after more failures than that; None for any.
        stop: the run takes no more cases once it is set.
    """

    case_s: float | None = None
    max_failures: int | None = None
    stop: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        if self.case_s is not None and not 0 < self.case_s < math.inf:
            raise ConfigError(f"--case-deadline {self.case_s:g}: give seconds, more than 0")
        if self.max_failures is not None and self.max_failures < 0:
            raise ConfigError(f"--max-failures {self.max_failures}: give a number, from 0")


@dataclass
class _Work:
    """A case under way.

    Attributes:
        case: the case.
        status: for the run manifest.
        begun_s: when it was given to the networks.
    """

    case: Case
    status: CaseStatus
    begun_s: float = 0.0


def ahead(
    function: Callable[[T], R], items: Iterable[T], pool: ThreadPoolExecutor, max_ahead: int
) -> Iterator[tuple[T, Future[R]]]:
    """``function`` of each item, in order, started up to ``max_ahead`` items in advance."""
    started: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        started.append((item, pool.submit(function, item)))
        if len(started) > max_ahead:
            yield started.popleft()
    while started:
        yield started.popleft()


def run(
    cases: Iterable[Case],
    files: CaseFiles,
    load_segmenter: Callable[[], Segmenter],
    observer: Observer,
    limits: Limits | None = None,
) -> tuple[Segmenter | None, list[CaseStatus]]:
    """Take every case from its file to its results.

    Args:
        cases: the scans; taken one after the other, as far ahead as scans are read.
        files: reads and writes them, in other threads.
        load_segmenter: called once, when the first case needs it.
        observer: told of the progress.
        limits: when a case, or the run, is given up. Cases under way are ended nevertheless.

    Returns:
        The segmenter, where one was needed, and the status of each case that was taken, in order.

    Raises:
        CtctError: other than InputError: a fault of the model, the runtime or the disk, which
            every other case would meet as well, or no case could be written. What has been
            segmented is still written where possible.
    """
    limits = limits or Limits()
    statuses: list[CaseStatus] = []
    failed = 0
    unwritten: list[OutputError] = []
    segmenting: dict[int, _Work] = {}  # by the identity of the study
    writing: deque[tuple[_Work, Future[None]]] = deque()

    def has_ended() -> bool:
        too_many = limits.max_failures is not None and failed > limits.max_failures
        return too_many or limits.stop.is_set()

    def begin() -> Iterator[_Work]:
        for case in files.fetch_ahead(cases):
            if has_ended():
                return
            status = CaseStatus(case.name, case.where)
            statuses.append(status)
            observer.case_taken()
            yield _Work(case, status)

    def read(work: _Work) -> Study | None:
        listed = files.find_listed(work.case)
        if listed is None:
            work.case = files.load(work.case)
        work.status.unreadable = list(work.case.unreadable)
        return files.read(work.case, work.status, listed)

    def write(work: _Work, segmentation: Segmentation) -> None:
        files.write(work.case, segmentation, work.status)

    def end(work: _Work, status: str) -> None:
        work.status.status = status
        discard(work.case)
        observer.case_ended(work.status)

    def fail(work: _Work, error: Exception) -> None:
        nonlocal failed
        failed += 1
        if isinstance(error, OutputError) and not error.everywhere:
            unwritten.append(error)
        _record(work, error)
        files.write_failed(work.case, work.status)
        end(work, FAILED)

    def slices_done(study: Study, done: int) -> None:
        work, total = segmenting[id(study)], study.frames * study.slices
        observer.slices_done(work.case, done, total)
        seconds = time.monotonic() - work.begun_s
        if limits.case_s is not None and seconds > limits.case_s and done < total:
            raise InputError(
                f"{work.case.path}: {done} of {total} slices segmented after {seconds:.0f} seconds "
                f"(--case-deadline {limits.case_s:g})"
            )

    def end_writing() -> None:
        work, written = writing.popleft()
        try:
            written.result()
        except Exception as error:
            fail(work, error)
        else:
            end(work, DONE)

    with (
        ThreadPoolExecutor(READERS, "read") as readers,
        ThreadPoolExecutor(WRITERS, "write") as writers,
    ):

        def studies() -> Iterator[Study]:
            for work, future in ahead(read, begin(), readers, AHEAD):
                try:
                    study = future.result()
                except Exception as error:
                    fail(work, error)
                    continue
                if study is None:
                    end(work, SKIPPED)
                elif has_ended():
                    statuses.remove(work.status)
                else:
                    work.begun_s = time.monotonic()
                    segmenting[id(study)] = work
                    yield study

        stream = studies()
        first = next(stream, None)
        if first is None:
            return None, statuses
        segmenter = load_segmenter()  # the next cases are read meanwhile
        outcomes = segmenter.segment_all(chain([first], stream), slices_done)
        for outcome in outcomes:
            work = segmenting.pop(id(outcome.study))
            work.status.seconds["segment"] = round(outcome.seconds, 3)
            if outcome.segmentation is None:
                assert outcome.error is not None
                fail(work, outcome.error)
                continue
            writing.append((work, writers.submit(write, work, outcome.segmentation)))
            while len(writing) > AHEAD or (writing and writing[0][1].done()):
                end_writing()
        while writing:
            end_writing()
    if unwritten and all(status.status == FAILED for status in statuses):
        raise unwritten[0]
    return segmenter, statuses


def _record(work: _Work, error: Exception) -> None:
    """Record why a case failed, or raise what would fail every other case as well."""
    is_of_one_file = isinstance(error, OutputError) and not error.everywhere
    if isinstance(error, CtctError) and not isinstance(error, InputError) and not is_of_one_file:
        raise error
    work.status.reason = str(error).replace(str(work.case.path), work.case.where)
    if not isinstance(error, CtctError):  # one strange file must not end a night's run
        reason = f"{work.case.path}: unexpected {type(error).__name__}: {error}; run with --debug"
        work.status.reason = " ".join(reason.split())
    log.debug("%s", work.case.name, exc_info=error)
