"""Reading, segmenting and writing of many cases at once, with no more of them held than needed.

Readers work a few cases ahead of the runtime and writers after it, each in threads of their own;
whoever is too fast waits. So memory does not grow with the number of cases, and the runtime does
not wait for files.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from ctct.errors import CtctError, InputError, OutputError
from ctct.inference.segmenter import Segmenter
from ctct.io.case import Case
from ctct.io.study import Study
from ctct.measurement.volumes import FrameVolumes
from ctct.predict.case_files import CaseFiles
from ctct.predict.run_manifest import DONE, SKIPPED, CaseStatus

log = logging.getLogger(__name__)

#: Threads that read and that write, and how many cases of each kind may be under way.
READERS, WRITERS, AHEAD = 2, 2, 3

T = TypeVar("T")
R = TypeVar("R")


class Observer:
    """Told how a run goes on, in the thread that started it; this one ignores it."""

    def slices_done(self, case: Case, done: int, total: int) -> None:
        """So many of a case's slices are labelled."""

    def case_ended(self, case_status: CaseStatus) -> None:
        """A case has come to its end."""


@dataclass
class Result:
    """A case and what came of it.

    Attributes:
        case: the case.
        case_status: for the record.
        frames: volumes of its frames; None where it failed.
        unwritten: why its results could not be written, where that is why it failed.
    """

    case: Case
    case_status: CaseStatus
    frames: list[FrameVolumes] | None = None
    unwritten: OutputError | None = None


def ahead(
    function: Callable[[T], R], items: Iterable[T], pool: ThreadPoolExecutor, most: int
) -> Iterator[tuple[T, Future[R]]]:
    """``function`` of each item, in order, begun up to ``most`` items before it is asked for."""
    begun: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        begun.append((item, pool.submit(function, item)))
        if len(begun) > most:
            yield begun.popleft()
    while begun:
        yield begun.popleft()


def run(
    cases: Sequence[Case],
    files: CaseFiles,
    load_segmenter: Callable[[], Segmenter],
    observer: Observer,
) -> tuple[Segmenter | None, list[Result]]:
    """Take every case from its file to its results.

    Args:
        cases: what to segment.
        files: reads and writes them, in other threads.
        load_segmenter: called once, when the first case needs it.
        observer: told how it goes on.

    Returns:
        The segmenter, where one was needed, and the result of each case, in order.

    Raises:
        CtctError: other than InputError: the model, the runtime or the disk, with which no other
            case would fare better, or no case could be written. What was segmented by then is still
            written, if that can be.
    """
    results = [Result(case, CaseStatus(case.name, str(case.path))) for case in cases]
    at_work: dict[int, Result] = {}  # by the identity of the study
    writing: deque[tuple[Result, Future[list[FrameVolumes]]]] = deque()

    def end(result: Result, frames: Future[list[FrameVolumes]]) -> None:
        try:
            result.frames = frames.result()
            result.case_status.status = DONE
        except Exception as error:
            _fail(result, error)
        observer.case_ended(result.case_status)

    with (
        ThreadPoolExecutor(READERS, "read") as readers,
        ThreadPoolExecutor(WRITERS, "write") as writers,
    ):

        def studies() -> Iterator[Study]:
            for result, future in ahead(
                lambda result: files.read(result.case, result.case_status), results, readers, AHEAD
            ):
                try:
                    found = future.result()
                except Exception as error:
                    _fail(result, error)
                    observer.case_ended(result.case_status)
                    continue
                if isinstance(found, Study):
                    at_work[id(found)] = result
                    yield found
                else:
                    result.frames, result.case_status.status = found, SKIPPED
                    observer.case_ended(result.case_status)

        stream = studies()
        first = next(stream, None)
        if first is None:
            return None, results
        segmenter = load_segmenter()  # the next cases are read meanwhile
        outcomes = segmenter.segment_all(
            chain([first], stream),
            lambda study, done: observer.slices_done(
                at_work[id(study)].case, done, study.frames * study.slices
            ),
        )
        for outcome in outcomes:
            result = at_work.pop(id(outcome.study))
            result.case_status.seconds["segment"] = round(outcome.seconds, 3)
            if outcome.segmentation is None:
                assert outcome.error is not None
                _fail(result, outcome.error)
                observer.case_ended(result.case_status)
                continue
            done = writers.submit(
                files.write, result.case, outcome.segmentation, result.case_status
            )
            writing.append((result, done))
            while len(writing) > AHEAD or (writing and writing[0][1].done()):
                end(*writing.popleft())
        while writing:
            end(*writing.popleft())
    unwritten = [result.unwritten for result in results if result.unwritten]
    if unwritten and all(result.frames is None for result in results):
        raise unwritten[0]
    return segmenter, results


def _fail(result: Result, error: Exception) -> None:
    """Record why a case failed, or raise what would fail every other case as well."""
    if isinstance(error, OutputError) and not error.everywhere:
        result.unwritten = error
    elif isinstance(error, CtctError) and not isinstance(error, InputError):
        raise error
    result.case_status.reason = str(error)
    if not isinstance(error, CtctError):  # one strange file must not end a night's run
        reason = f"{result.case.path}: unexpected {type(error).__name__}: {error}; run with --debug"
        result.case_status.reason = " ".join(reason.split())
    log.debug("%s", result.case.name, exc_info=error)
