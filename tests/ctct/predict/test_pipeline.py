from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import InputError, ModelError, OutputError
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.case import Case
from ctct.io.study import Study
from ctct.measurement.volumes import FrameVolumes
from ctct.predict.case_files import CaseFiles, PredictOptions
from ctct.predict.pipeline import AHEAD, Observer, ahead, run
from ctct.predict.run_manifest import CaseStatus

CASES = [Case(Path(f"case{n:02}.nii.gz"), f"case{n:02}") for n in range(12)]


class Memory(CaseFiles):
    """Scans made on the spot, results counted instead of written."""

    def __init__(self, on_read: Callable[[Case], None] = lambda case: None) -> None:
        super().__init__(Path("unused"), PredictOptions())
        self.on_read = on_read
        self.held, self.most, self.written = 0, 0, []
        self.lock = threading.Lock()

    def read(self, case: Case, case_status: CaseStatus) -> Study | list[FrameVolumes]:
        self.on_read(case)
        with self.lock:
            self.held += 1
            self.most = max(self.most, self.held)
        return Study(case.name, np.full((1, 2, 32, 32), 160, np.float32), (1.5, 1.5), 8.0)

    def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> list[FrameVolumes]:
        time.sleep(0.01)
        with self.lock:
            self.held -= 1
            self.written.append(case.name)
        return [FrameVolumes(case.name, 0, {})]


def test_every_case_in_order_and_few_held_at_once(threshold: Segmenter) -> None:
    ended: list[str] = []

    class Listener(Observer):
        def case_ended(self, case_status: CaseStatus) -> None:
            ended.append(case_status.case)

    files = Memory()
    threshold.batch = 2
    segmenter, results = run(CASES, files, lambda: threshold, Listener())
    assert segmenter is threshold
    assert [result.case for result in results] == CASES
    assert {result.case_status.status for result in results} == {"done"}
    assert sorted(ended) == [case.name for case in CASES]
    # Read ahead, at the runtime (two batches), and written or waiting for a writer.
    assert files.most <= (AHEAD + 1) + 3 + (AHEAD + 1)
    assert files.most < len(CASES)


def test_a_reader_that_raises_fails_its_case_alone(threshold: Segmenter) -> None:
    def sometimes(case: Case) -> None:
        if case.name == "case03":
            raise InputError("bad case")
        if case.name == "case05":
            raise RuntimeError("unforeseen")

    _, results = run(CASES, Memory(sometimes), lambda: threshold, Observer())
    status = {r.case.name: (r.case_status.status, r.case_status.reason) for r in results}
    assert status.pop("case03") == ("failed", "bad case")
    assert status.pop("case05")[0] == "failed"
    assert set(status.values()) == {("done", "")}


def test_a_full_disk_ends_the_run_and_what_was_written_stays(threshold: Segmenter) -> None:
    class Full(Memory):
        def write(
            self, case: Case, raw: Segmentation, case_status: CaseStatus
        ) -> list[FrameVolumes]:
            if len(self.written) >= 3:
                raise OutputError("no space left", everywhere=True)
            return super().write(case, raw, case_status)

    files = Full()
    threshold.batch = 2
    with pytest.raises(OutputError, match="no space left"):
        run(CASES, files, lambda: threshold, Observer())
    assert len(files.written) >= 3
    assert len(files.written) < len(CASES)


def test_a_case_that_cannot_be_written_costs_itself(threshold: Segmenter) -> None:
    class Odd(Memory):
        def write(
            self, case: Case, raw: Segmentation, case_status: CaseStatus
        ) -> list[FrameVolumes]:
            if case.name == "case03":
                raise OutputError("is a directory")
            return super().write(case, raw, case_status)

    _, results = run(CASES, Odd(), lambda: threshold, Observer())
    failed = [(r.case.name, r.case_status.reason) for r in results if r.frames is None]
    assert failed == [("case03", "is a directory")]
    with pytest.raises(OutputError, match="is a directory"):
        run(CASES[3:4], Odd(), lambda: threshold, Observer())


def test_ctrl_c_lets_those_at_work_finish(threshold: Segmenter) -> None:
    class Impatient(Observer):
        def case_ended(self, case_status: CaseStatus) -> None:
            raise KeyboardInterrupt

    files = Memory()
    threshold.batch = 2
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(CASES, files, lambda: threshold, Impatient())
    assert 1 <= len(files.written) < len(CASES)
    assert threading.active_count() <= before  # no thread goes on


def test_nothing_to_segment_loads_no_model() -> None:
    class Done(Memory):
        def read(self, case: Case, case_status: CaseStatus) -> Study | list[FrameVolumes]:
            return [FrameVolumes(case.name, 0, {})]

    def refuse() -> Segmenter:
        raise ModelError("not needed")

    segmenter, results = run(CASES, Done(), refuse, Observer())
    assert segmenter is None
    assert {result.case_status.status for result in results} == {"skipped"}


def test_ahead_begins_only_a_few() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * item

    with ThreadPoolExecutor(1) as pool:
        stream = ahead(work, range(100), pool, most=3)
        item, future = next(stream)
        assert (item, future.result()) == (0, 0)
        time.sleep(0.05)
        assert begun == [0, 1, 2, 3]
        assert [future.result() for _, future in stream] == [n * n for n in range(1, 100)]
