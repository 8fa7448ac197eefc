"""Read, segment and write many cases at the same time, holding few of them in memory.

Threads read a few cases ahead of the runtime, and other threads write after it; those that are too
fast wait. So memory does not grow with the number of cases, and the runtime does not wait for
files.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from ctct.cases.case import Case
from ctct.errors import CtctError, InputError, OutputError
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.prediction.case_files import CaseFiles
from ctct.prediction.case_result import CaseResult
from ctct.prediction.run_manifest import DONE, FAILED, SKIPPED, CaseStatus

log = logging.getLogger(__name__)

#: Number of threads that read, and that write, and of cases that either may be ahead or behind.
READERS, WRITERS, AHEAD = 2, 2, 3

#: Takes the result of a case; None where it failed.
OnResult = Callable[[Case, CaseResult | None], None]

T = TypeVar("T")
R = TypeVar("R")


class Observer:
    """Told of the progress of a run, in the thread that started it; this one does nothing."""

    def run_started(self, cases: int) -> None:
        """That many cases were found."""

    def slices_done(self, case: Case, done: int, total: int) -> None:
        """That many of a case's slices are segmented."""

    def case_ended(self, case_status: CaseStatus) -> None:
        """A case is done, skipped or failed."""


@dataclass
class _Work:
    """A case under way.

    Attributes:
        case: the case.
        status: for the run manifest.
        unwritten: why its results could not be written, where that is why it failed.
    """

    case: Case
    status: CaseStatus
    unwritten: OutputError | None = None


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
    cases: Sequence[Case],
    files: CaseFiles,
    load_segmenter: Callable[[], Segmenter],
    observer: Observer,
    on_result: OnResult,
) -> tuple[Segmenter | None, list[CaseStatus]]:
    """Take every case from its file to its results.

    Args:
        cases: the scans.
        files: reads and writes them, in other threads.
        load_segmenter: called once, when the first case needs it.
        observer: told of the progress.
        on_result: called once per case with its result, or None where it failed, in the thread
            that made it. The result is not kept here.

    Returns:
        The segmenter, where one was needed, and the status of each case, in order.

    Raises:
        CtctError: other than InputError: a fault of the model, the runtime or the disk, which
            every other case would meet as well, or no case could be written. What has been
            segmented is still written where possible.
    """
    works = [
        _Work(case, CaseStatus(case.name, str(case.path), unreadable=list(case.unreadable)))
        for case in cases
    ]
    segmenting: dict[int, _Work] = {}  # by the identity of the study
    writing: deque[tuple[_Work, Future[None]]] = deque()

    def read(work: _Work) -> Study | None:
        study_or_result = files.read(work.case, work.status)
        if isinstance(study_or_result, Study):
            return study_or_result
        on_result(work.case, study_or_result)
        return None

    def write(work: _Work, segmentation: Segmentation) -> None:
        on_result(work.case, files.write(work.case, segmentation, work.status))

    def end(work: _Work, status: str) -> None:
        work.status.status = status
        observer.case_ended(work.status)

    def fail(work: _Work, error: Exception) -> None:
        _record(work, error)
        on_result(work.case, None)
        end(work, FAILED)

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
            for work, future in ahead(read, works, readers, AHEAD):
                try:
                    study = future.result()
                except Exception as error:
                    fail(work, error)
                    continue
                if study is None:
                    end(work, SKIPPED)
                else:
                    segmenting[id(study)] = work
                    yield study

        stream = studies()
        first = next(stream, None)
        if first is None:
            return None, [work.status for work in works]
        segmenter = load_segmenter()  # the next cases are read meanwhile
        outcomes = segmenter.segment_all(
            chain([first], stream),
            lambda study, done: observer.slices_done(
                segmenting[id(study)].case, done, study.frames * study.slices
            ),
        )
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
    unwritten = [work.unwritten for work in works if work.unwritten]
    if unwritten and all(work.status.status == FAILED for work in works):
        raise unwritten[0]
    return segmenter, [work.status for work in works]


def _record(work: _Work, error: Exception) -> None:
    """Record why a case failed, or raise what would fail every other case as well."""
    if isinstance(error, OutputError) and not error.everywhere:
        work.unwritten = error
    elif isinstance(error, CtctError) and not isinstance(error, InputError):
        raise error
    work.status.reason = str(error)
    if not isinstance(error, CtctError):  # one strange file must not end a night's run
        reason = f"{work.case.path}: unexpected {type(error).__name__}: {error}; run with --debug"
        work.status.reason = " ".join(reason.split())
    log.debug("%s", work.case.name, exc_info=error)
