from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
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
from ctct.prediction.case_result import CaseResult, analyze_case
from ctct.prediction.pipeline import AHEAD, WRITERS, Observer, ahead, run
from ctct.prediction.run_manifest import CaseStatus

CASES = [Case(Path(f"case{n:02}.nii.gz"), f"case{n:02}") for n in range(12)]


class Memory(CaseFiles):
    """Scans made on the spot, results counted instead of written."""

    def __init__(self, on_read: Callable[[Case], None] = lambda case: None) -> None:
        super().__init__(Path("unused"), PredictOptions())
        self.on_read = on_read
        self.held, self.max_held, self.written = 0, 0, []
        self.lock = threading.Lock()

    def read(self, case: Case, case_status: CaseStatus) -> Study | CaseResult:
        self.on_read(case)
        with self.lock:
            self.held += 1
            self.max_held = max(self.max_held, self.held)
        return Study(case.name, np.full((1, 2, 32, 32), 160, np.float32), (1.5, 1.5), 8.0)

    def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> CaseResult:
        time.sleep(0.01)
        with self.lock:
            self.held -= 1
            self.written.append(case.name)
        return analyze_case(raw, name=case.name)


class Results(dict[str, CaseResult | None]):
    """Takes the result of each case."""

    def add(self, case: Case, result: CaseResult | None) -> None:
        assert case.name not in self
        self[case.name] = result


def run_cases(
    cases: Sequence[Case],
    files: CaseFiles,
    segmenter: Segmenter,
    observer: Observer | None = None,
) -> tuple[dict[str, CaseStatus], Results]:
    """Status and result of each case, by name."""
    results = Results()
    _, statuses = run(cases, files, lambda: segmenter, observer or Observer(), results.add)
    assert [status.case for status in statuses] == [case.name for case in cases]
    return {status.case: status for status in statuses}, results


def test_every_case_in_order_and_few_held_at_once(threshold: Segmenter) -> None:
    ended: list[str] = []

    class Listener(Observer):
        def case_ended(self, case_status: CaseStatus) -> None:
            ended.append(case_status.case)

    files = Memory()
    threshold.batch = 2
    statuses, results = run_cases(CASES, files, threshold, Listener())
    assert {status.status for status in statuses.values()} == {"done"}
    assert sorted(ended) == sorted(results) == [case.name for case in CASES]
    assert all(result and result.name == name for name, result in results.items())
    # Read ahead, at the runtime (two batches), and written or waiting for a writer.
    assert files.max_held <= (AHEAD + 1) + 3 + (AHEAD + 1)
    assert files.max_held < len(CASES)


def test_a_reader_that_raises_fails_its_case_alone(threshold: Segmenter) -> None:
    def sometimes(case: Case) -> None:
        if case.name == "case03":
            raise InputError("bad case")
        if case.name == "case05":
            raise RuntimeError("unforeseen")

    statuses, results = run_cases(CASES, Memory(sometimes), threshold)
    status = {name: (status.status, status.reason) for name, status in statuses.items()}
    assert status.pop("case03") == ("failed", "bad case")
    assert status.pop("case05")[0] == "failed"
    assert set(status.values()) == {("done", "")}
    assert [name for name, result in results.items() if result is None] == ["case03", "case05"]
    assert len(results) == len(CASES)


def test_a_full_disk_ends_the_run_and_what_was_written_stays(threshold: Segmenter) -> None:
    class Full(Memory):
        def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> CaseResult:
            if len(self.written) >= 3:
                raise OutputError("no space left", everywhere=True)
            return super().write(case, raw, case_status)

    files = Full()
    threshold.batch = 2
    with pytest.raises(OutputError, match="no space left"):
        run_cases(CASES, files, threshold)
    assert len(files.written) >= 3
    assert len(files.written) < len(CASES)


def test_a_case_that_cannot_be_written_costs_itself(threshold: Segmenter) -> None:
    class Odd(Memory):
        def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> CaseResult:
            if case.name == "case03":
                raise OutputError("is a directory")
            return super().write(case, raw, case_status)

    statuses, results = run_cases(CASES, Odd(), threshold)
    failed = {name: s.reason for name, s in statuses.items() if s.status == "failed"}
    assert failed == {"case03": "is a directory"}
    assert results["case03"] is None
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
        def read(self, case: Case, case_status: CaseStatus) -> Study | CaseResult:
            study = super().read(case, case_status)
            assert isinstance(study, Study)
            labels = np.zeros(study.voxels.shape, np.uint8)
            return analyze_case(Segmentation(study, labels, labels.astype(np.float16)))

    def refuse() -> Segmenter:
        raise ModelError("not needed")

    results = Results()
    segmenter, statuses = run(CASES, Done(), refuse, Observer(), results.add)
    assert segmenter is None
    assert {status.status for status in statuses} == {"skipped"}
    assert None not in results.values()
    assert len(results) == len(CASES)


def test_a_result_is_dropped_once_it_was_taken(threshold: Segmenter) -> None:
    alive: weakref.WeakSet[CaseResult] = weakref.WeakSet()
    held: list[int] = []

    def take(case: Case, result: CaseResult | None) -> None:
        assert result
        held.append(len(alive))
        alive.add(result)

    threshold.batch = 2
    run(CASES * 3, Memory(), lambda: threshold, Observer(), take)
    assert len(held) == 3 * len(CASES)
    assert max(held) <= WRITERS
    gc.collect()
    assert not alive


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
