"""The process that segments, with the bundled model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
pytest.importorskip("highdicom")
from dicom_support import image, save
from node_support import write_heart

from ctct.errors import ModelError
from ctct.node.settings import SegmentingSettings
from ctct.node.worker import CRASHED, FAILED, LATER, SEGMENTED, Worker

OPTIONS = {"formats": ("nifti", "dicom-seg")}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker(SegmentingSettings(options=OPTIONS), deadline_s=300)
    one.start()
    yield one
    one.close()


@pytest.mark.slow
def test_a_study_is_segmented_and_one_without_a_short_axis_fails(
    worker: Worker, tmp_path: Path
) -> None:
    heart = write_heart(tmp_path / "77ac319bfe1979e2", "1.2.840.7")
    outcome = worker.segment(heart, tmp_path / "out")
    assert (outcome.kind, outcome.reason) == (SEGMENTED, "")
    names = {path.name for path in (tmp_path / "out").rglob("*.dcm")}
    assert names == {f"77ac319bfe1979e2_{n:02}.dcm" for n in range(1, 7)}
    for n in range(3):
        save(image(0, n), tmp_path / "other" / f"{n}.dcm")
    outcome = worker.segment(tmp_path / "other", tmp_path / "none")
    assert outcome.kind == FAILED
    assert "none of the DICOM series (1) is a short-axis cine" in outcome.reason


@pytest.mark.slow
def test_reasons_hold_no_identifiers(worker: Worker, tmp_path: Path) -> None:
    heart = write_heart(tmp_path / "Doe", "1.2.840.8", StudyTime="noon Doe^Jane")
    outcome = worker.segment(heart, tmp_path / "out")
    assert outcome.kind == FAILED
    assert "Jane" not in outcome.reason
    assert "Doe" not in outcome.reason
    (tmp_path / "bad").mkdir()
    for path in heart.iterdir():
        (tmp_path / "bad" / path.name).write_bytes(path.read_bytes()[:1500])
    outcome = worker.segment(tmp_path / "bad", tmp_path / "out2")
    assert outcome.kind == FAILED
    assert "Doe" not in outcome.reason


@pytest.mark.slow
def test_a_crash_and_a_study_that_takes_too_long_cost_one_study_each(
    worker: Worker, tmp_path: Path
) -> None:
    heart = write_heart(tmp_path / "heart", "1.2.840.7")
    killer = threading.Timer(0.2, lambda: worker._process.kill())
    killer.start()
    outcome = worker.segment(heart, tmp_path / "a")
    assert outcome.kind == CRASHED
    assert "crashed (exit code -9)" in outcome.reason
    worker.start()
    worker._deadline_s = 0.05
    outcome = worker.segment(heart, tmp_path / "b")
    assert outcome.reason == "takes longer than 0.05 s"
    worker._deadline_s = 300
    assert worker.segment(heart, tmp_path / "c").kind == SEGMENTED


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_no_fault_of_the_study(
    worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    heart = write_heart(tmp_path / "heart", "1.2.840.7")
    assert worker.segment(heart, tmp_path / "file" / "out").kind == LATER


@pytest.mark.slow
def test_a_model_that_is_missing_is_told_at_the_start(tmp_path: Path) -> None:
    worker = Worker(SegmentingSettings(model=str(tmp_path / "none.onnx")), deadline_s=300)
    with pytest.raises(ModelError):
        worker.start()
    time.sleep(0.1)
    assert worker._process is None
