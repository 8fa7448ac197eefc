"""The process that labels visitors' scans, which a scan can end but not the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_process_support import crash, fail, pid, sleep
from tests_support import write_scan

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct.demo.handlers import visit_program
from ctct.demo.worker import EngineChoice, Worker
from ctct.errors import InputError, ModelError


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker(EngineChoice(runtime="openvino"), deadline_s=60)
    yield one
    one.close()


def ignore(*stage: object) -> None:
    """Progress that nobody looks at."""


def test_parts_come_one_by_one_and_stages_between_them(worker: Worker) -> None:
    stages: list[tuple[str, float]] = []
    visit = worker.run(sleep, 0.0, on_stage=lambda *stage: stages.append(stage))
    assert next(visit) == "fell asleep"
    assert stages == [("asleep", 0.5)]
    assert list(visit) == ["woke up"]


def test_a_scan_that_takes_too_long_or_crashes_costs_itself_only(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_deadline_s", 1.0)
    begun = time.monotonic()
    with pytest.raises(InputError, match="takes longer than 1 seconds"):
        list(worker.run(sleep, 60.0, on_stage=ignore))
    assert time.monotonic() - begun < 50  # less than the sleep
    monkeypatch.setattr(worker, "_deadline_s", 60.0)
    with pytest.raises(InputError, match="crashed"):
        list(worker.run(crash, on_stage=ignore))
    scan = tmp_path / "cine.nii.gz"
    write_scan(scan, (40, 36, 3, 2))
    _, answer = worker.run(visit_program, scan, worker.first, on_stage=ignore)
    assert set(answer["files"]) >= {"cine_seg.nii.gz", "measurements.csv"}


def test_errors_arrive(worker: Worker, tmp_path: Path) -> None:
    (before,) = worker.run(pid, on_stage=ignore)
    (tmp_path / "bad.nii").write_bytes(b"no scan")
    with pytest.raises(InputError, match=r"bad\.nii: "):
        list(worker.run(visit_program, tmp_path / "bad.nii", worker.first, on_stage=ignore))
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        list(worker.run(fail, on_stage=ignore))
    assert list(worker.run(pid, on_stage=ignore)) == [before]


def test_a_visitor_who_leaves_frees_the_process(worker: Worker) -> None:
    for leave in (lambda visit: visit.close(), ignore):  # told, and not
        visit = worker.run(sleep, 60.0, on_stage=ignore)
        next(visit)
        leave(visit)
        begun = time.monotonic()
        assert len(list(worker.run(sleep, 0.0, on_stage=ignore))) == 2
        assert time.monotonic() - begun < 50  # less than the sleep
    with pytest.raises(InputError, match="crashed"):
        next(visit)
    assert len(list(worker.run(sleep, 0.0, on_stage=ignore))) == 2


def test_a_model_that_is_missing_is_told_at_the_start() -> None:
    with pytest.raises(ModelError, match="no such model"):
        Worker(EngineChoice(["missing.onnx"]))
