from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ctct.cases.case import Case
from ctct.errors import InputError, ModelError, OutputError
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.prediction.case_files import CaseFiles, PredictOptions
from ctct.prediction.case_record import CaseRecord
from ctct.prediction.pipeline import AHEAD, WRITERS, Observer, ahead, run
from ctct.prediction.run_manifest import CaseStatus

CASES = [Case(Path(f"case{n:02}.nii.gz"), f"case{n:02}") for n in range(12)]


class Memory(CaseFiles):
    """Scans made on the spot, results counted instead of written."""

    def __init__(self, on_read: Callable[[Case], None] = lambda case: None) -> None:
        super().__init__(Path("unused"), PredictOptions())
        self.on_read = on_read
        self.held, self.max_held = 0, 0
        self.written: list[str] = []
        self.failed: list[str] = []
        self.lock = threading.Lock()

    def read(
        self, case: Case, case_status: CaseStatus, listed: CaseRecord | None = None
    ) -> Study | None:
        self.on_read(case)
        with self.lock:
            self.held += 1
            self.max_held = max(self.max_held, self.held)
        return Study(case.name, np.full((1, 2, 32, 32), 160, np.float32), (1.5, 1.5), 8.0)

    def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> None:
        time.sleep(0.01)
        with self.lock:
            self.held -= 1
            self.written.append(case.name)

    def write_failed(self, case: Case, case_status: CaseStatus) -> None:
        self.failed.append(case.name)


def run_cases(
    cases: Sequence[Case],
    files: CaseFiles,
    segmenter: Segmenter,
    observer: Observer | None = None,
) -> dict[str, CaseStatus]:
    """Status of each case, by name."""
    _, statuses = run(cases, files, lambda: segmenter, observer or Observer())
    assert [status.case for status in statuses] == [case.name for case in cases]
    return {status.case: status for status in statuses}


def test_every_case_in_order_and_few_held_at_once(threshold: Segmenter) -> None:
    ended: list[str] = []

    class Listener(Observer):
        def case_ended(self, case_status: CaseStatus) -> None:
            ended.append(case_status.case)

    files = Memory()
    threshold.batch = 2
    statuses = run_cases(CASES, files, threshold, Listener())
    assert {status.status for status in statuses.values()} == {"done"}
    assert sorted(ended) == sorted(files.written) == [case.name for case in CASES]
    # Read ahead, at the runtime (two batches), and written or waiting for a writer.
    assert files.max_held <= (AHEAD + 1) + 3 + (AHEAD + 1)
    assert files.max_held < len(CASES)


def test_a_reader_that_raises_fails_its_case_alone(threshold: Segmenter) -> None:
    def sometimes(case: Case) -> None:
        if case.name == "case03":
            raise InputError("bad case")
        if case.name == "case05":
            raise RuntimeError("unforeseen")

    files = Memory(sometimes)
    statuses = run_cases(CASES, files, threshold)
    status = {name: (status.status, status.reason) for name, status in statuses.items()}
    assert status.pop("case03") == ("failed", "bad case")
    assert status.pop("case05")[0] == "failed"
    assert set(status.values()) == {("done", "")}
    assert files.failed == ["case03", "case05"]
    assert len(files.written) == len(CASES) - 2


def test_a_full_disk_ends_the_run_and_what_was_written_stays(threshold: Segmenter) -> None:
    class Full(Memory):
        def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> None:
            if len(self.written) >= 3:
                raise OutputError("no space left", everywhere=True)
            super().write(case, raw, case_status)

    files = Full()
    threshold.batch = 2
    with pytest.raises(OutputError, match="no space left"):
        run_cases(CASES, files, threshold)
    assert len(files.written) >= 3
    assert len(files.written) < len(CASES)


def test_a_case_that_cannot_be_written_costs_itself(threshold: Segmenter) -> None:
    class Odd(Memory):
        def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> None:
            if case.name == "case03":
                raise OutputError("is a directory")
            super().write(case, raw, case_status)

    files = Odd()
    statuses = run_cases(CASES, files, threshold)
    failed = {name: s.reason for name, s in statuses.items() if s.status == "failed"}
    assert failed == {"case03": "is a directory"}
    assert files.failed == ["case03"]
    with pytest.raises(OutputError, match="is a directory"):
        run_cases(CASES[3:4], Odd(), threshold)


def test_ctrl_c_lets_those_at_work_finish(threshold: Segmenter) -> None:
    class Impatient(Observer):
        def case_ended(self, case_status: CaseStatus) -> None:
            raise KeyboardInterrupt

    files = Memory()
    threshold.batch = 2
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_cases(CASES, files, threshold, Impatient())
    assert 1 <= len(files.written) < len(CASES)
    assert threading.active_count() <= before  # no thread goes on


def test_nothing_to_segment_loads_no_model() -> None:
    class Done(Memory):
        def read(
            self, case: Case, case_status: CaseStatus, listed: CaseRecord | None = None
        ) -> None:
            return None

    def refuse() -> Segmenter:
        raise ModelError("not needed")

    segmenter, statuses = run(CASES, Done(), refuse, Observer())
    assert segmenter is None
    assert {status.status for status in statuses} == {"skipped"}
    assert len(statuses) == len(CASES)


def test_a_scan_is_dropped_once_it_was_written(threshold: Segmenter) -> None:
    made: list[weakref.ref[Segmentation]] = []
    held: list[int] = []

    class Watching(Memory):
        def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> None:
            made.append(weakref.ref(raw))
            held.append(sum(one() is not None for one in made))
            super().write(case, raw, case_status)

    threshold.batch = 2
    run(CASES * 3, Watching(), lambda: threshold, Observer())
    assert len(held) == 3 * len(CASES)
    assert max(held) <= AHEAD + 1 + WRITERS
    gc.collect()
    assert not any(one() for one in made)


def test_cases_are_taken_only_as_far_ahead_as_they_are_read(threshold: Segmenter) -> None:
    """So that the first label map is written while scans are still looked for."""
    files, written_at = Memory(), []

    def survey() -> Iterator[Case]:
        for n in range(40):
            written_at.append(len(files.written))
            yield Case(Path(f"case{n:02}.nii.gz"), f"case{n:02}")

    threshold.batch = 2
    run(survey(), files, lambda: threshold, Observer())
    assert written_at[-1] >= 40 - files.max_held - 1


def test_ahead_begins_only_a_few() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * item

    with ThreadPoolExecutor(1) as pool:
        stream = ahead(work, range(100), pool, max_ahead=3)
        item, future = next(stream)
        assert (item, future.result()) == (0, 0)
        time.sleep(0.05)
        assert begun == [0, 1, 2, 3]
        assert [future.result() for _, future in stream] == [n * n for n in range(1, 100)]
