"""Shards of an index: each does its share, and together they are one run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_support import write_scan

pytest.importorskip("pyarrow", reason="needs the extra cohort")

from ctct.cases.discover import discover
from ctct.cases.index import Shard, read_index, write_index
from ctct.cases.survey import Request
from ctct.errors import ConfigError, OutputError, StoppedError
from ctct.inference.segmenter import Segmenter
from ctct.prediction import folder as folder_module
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import Part, predict_folder
from ctct.prediction.merge import merge_results
from ctct.prediction.pipeline import Limits, Observer
from ctct.prediction.run_manifest import CaseStatus
from ctct.storage import lock_folder, lock_share

TABLES = ("measurements.csv", "frames.csv", "segments.csv", "measurements.json")

#: A shard in a process of its own.
SHARD = """
import sys, time
from pathlib import Path
from tests_support import ThresholdRuntime
from ctct.cases.index import Shard, read_index
from ctct.inference.segmenter import Segmenter
from ctct.model_files.model_file import ModelFile
from ctct.prediction.folder import Part, predict_folder

path, out, text = sys.argv[1:]
shard, index = Shard.parse(text), read_index(Path(path))
model = ModelFile(Path("threshold.onnx"), {}, "0" * 64)
predict_folder(
    index.cases(shard), Path(out), model, lambda m: Segmenter(m, ThresholdRuntime()),
    part=Part(index.digest, shard, index.count(shard)),
)
"""


def run_shard(
    threshold: Segmenter,
    index: Path,
    out: Path,
    shard: Shard | None,
    options: PredictOptions | None = None,
    **more: object,
) -> list[CaseStatus]:
    found = read_index(index)
    part = Part(found.digest, shard, found.count(shard))
    return predict_folder(
        found.cases(shard), out, threshold.model, lambda m: threshold, options, part=part, **more
    )


def make_cohort(folder: Path, count: int) -> Path:
    for number in range(count):
        write_scan(folder / "in" / f"c{number:03}.nii", (40, 36, 3, 2))
    write_index(Request((folder / "in",)), folder / "i.parquet")
    return folder / "i.parquet"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return make_cohort(tmp_path, 5)


def run_whole(threshold: Segmenter, scans: Path, out: Path) -> dict[str, bytes]:
    predict_folder(discover([scans])[0], out, threshold.model, lambda m: threshold)
    return results_of(out)


def results_of(out: Path) -> dict[str, bytes]:
    files = [*(out / name for name in TABLES), *out.glob("*_seg.nii.gz")]
    return {path.name: path.read_bytes() for path in files}


def test_all_shards_together_are_one_run(index: Path, threshold: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in (2, 1):
        statuses = run_shard(threshold, index, out, Shard(number, 2))
        assert {status.status for status in statuses} == {"done"}
        assert not (out / "measurements.csv").exists()
    merge_results([out], out)
    assert results_of(out) == run_whole(threshold, tmp_path / "in", tmp_path / "whole")
    again = run_shard(threshold, index, out, Shard(2, 2))
    assert [status.status for status in again] == ["skipped", "skipped"]
    whole = run_shard(threshold, index, out, None)
    assert [status.status for status in whole] == ["skipped"] * 5


def test_a_restart_looks_at_no_scan_of_the_index(
    index: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    run_shard(threshold, index, tmp_path / "out", None)
    (tmp_path / "in").rename(tmp_path / "gone")
    (tmp_path / "in").mkdir()
    write_scan(tmp_path / "in" / "c000.nii", (40, 36, 3, 2))  # so that the index is of this place
    statuses = run_shard(threshold, index, tmp_path / "out", None)
    assert [status.status for status in statuses] == ["skipped"] * 5


def test_a_scan_that_changed_since_it_was_listed_fails_alone(
    index: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "c001.nii", (40, 36, 4, 2))
    statuses = run_shard(threshold, index, tmp_path / "out", None)
    assert [status.status for status in statuses] == ["done", "failed", "done", "done", "done"]
    assert "run ctct index again" in statuses[1].reason


def test_a_label_map_that_was_corrected_is_kept(
    index: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    run_shard(threshold, index, tmp_path / "out", Shard(1, 2))
    path = tmp_path / "out" / "c000_seg.nii.gz"
    other = (tmp_path / "out" / "c002_seg.nii.gz").read_bytes()
    import gzip

    corrected = gzip.compress(gzip.decompress(other), 1)
    path.write_bytes(corrected)
    statuses = run_shard(threshold, index, tmp_path / "out", Shard(1, 2))
    assert {status.status for status in statuses} == {"skipped"}
    assert path.read_bytes() == corrected


def test_shards_of_another_version_or_with_other_settings_are_refused(
    index: Path, threshold: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run_shard(threshold, index, out, Shard(1, 2))
    with pytest.raises(ConfigError, match="label_order: 'acdc' then, 'mnms' now"):
        run_shard(threshold, index, out, Shard(2, 2), PredictOptions(label_order="mnms"))
    monkeypatch.setattr(folder_module, "version", lambda name: "9.9")
    with pytest.raises(ConfigError, match=r"this is 9\.9; use one version for all shards"):
        run_shard(threshold, index, out, Shard(2, 2))


def test_who_may_write_into_a_folder_at_once(tmp_path: Path) -> None:
    with lock_share(tmp_path, "index", "1"), lock_share(tmp_path, "index", "2"):
        for refused in (
            lambda: lock_share(tmp_path, "index", "2"),
            lambda: lock_share(tmp_path, "other", "1"),
            lambda: lock_folder(tmp_path),
        ):
            with pytest.raises(OutputError, match="another ctct is writing there"), refused():
                pass
    with lock_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_share_waits_for_the_whole_folder_and_then_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctct.storage._MAX_WAIT_S", 0.1)
    with (
        lock_folder(tmp_path),
        pytest.raises(OutputError, match="another ctct"),
        lock_share(tmp_path, "index", "1"),
    ):
        pass


class StopAfter(Observer):
    def __init__(self, limits: Limits, count: int) -> None:
        self.limits, self.left = limits, count

    def case_ended(self, case_status: CaseStatus) -> None:
        self.left -= 1
        if self.left == 0:
            self.limits.stop.set()


def test_a_run_that_is_told_to_stop_ends_what_is_under_way_and_goes_on_later(
    threshold: Segmenter, tmp_path: Path
) -> None:
    index = make_cohort(tmp_path, 30)
    limits = Limits()
    with pytest.raises(StoppedError, match="run the same command again"):
        run_shard(
            threshold, index, tmp_path / "out", None, observer=StopAfter(limits, 3), limits=limits
        )
    done = len(list((tmp_path / "out").glob("*_seg.nii.gz")))
    assert 3 <= done < 30
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert {case["status"] for case in manifest["cases"]} == {"done"}
    assert len(manifest["cases"]) == done
    statuses = run_shard(threshold, index, tmp_path / "out", None)
    assert [s.status for s in statuses].count("skipped") == done
    assert len(statuses) == 30


def test_a_run_with_too_many_failures_ends_early(threshold: Segmenter, tmp_path: Path) -> None:
    index = make_cohort(tmp_path, 30)
    for number in range(30):
        (tmp_path / "in" / f"c{number:03}.nii").unlink()
    (tmp_path / "in" / "c000.nii").write_bytes(b"")
    statuses = run_shard(threshold, index, tmp_path / "out", None, limits=Limits(max_failures=2))
    assert 3 <= len(statuses) < 12
    assert {status.status for status in statuses} == {"failed"}


def test_a_case_that_takes_too_long_fails_alone(threshold: Segmenter, tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "a.nii", (40, 36, 3, 60))
    write_scan(tmp_path / "in" / "b.nii")
    slow = threshold.runtime

    class Slow:
        name, device = "slow", "cpu"

        def __call__(self, slices: object, spacing_mm: object) -> object:
            time.sleep(0.05)
            return slow(slices, spacing_mm)

    threshold = Segmenter(threshold.model, Slow())
    threshold.batch = 4
    cases, _ = discover([tmp_path / "in"])
    a, b = predict_folder(
        cases, tmp_path / "out", threshold.model, lambda m: threshold, limits=Limits(case_s=1.0)
    )
    assert (a.status, b.status) == ("failed", "done")
    assert "of 180 slices segmented after" in a.reason
    with pytest.raises(ConfigError, match="--case-deadline 0"):
        Limits(case_s=0)


CASES, ROUNDS = map(int, os.environ.get("CTCT_SHARDS", "24,1").split(","))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("number", range(ROUNDS))
def test_shards_that_are_killed_at_random_are_completed(
    number: int, threshold: Segmenter, tmp_path: Path
) -> None:
    """``CTCT_SHARDS=400,20`` is the long run."""
    index, out, shards = make_cohort(tmp_path, CASES), tmp_path / "out", 8
    whole = run_whole(threshold, tmp_path / "in", tmp_path / "whole")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    chance = random.Random(number)

    def begin(shard: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SHARD, str(index), str(out), f"{shard}/{shards}"]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)

    stamps: dict[str, int] = {}
    for attempt in range(3):
        processes = [begin(shard) for shard in range(1, shards + 1)]
        if attempt < 2:
            for process in chance.sample(processes, 5):
                time.sleep(chance.uniform(0.2, 2.0))
                process.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
        said = [process.communicate(timeout=600)[1] for process in processes]
        now = {path.name: path.stat().st_mtime_ns for path in out.glob("*_seg.nii.gz")}
        assert stamps.items() <= now.items()  # none was made twice
        stamps = now
    assert [process.returncode for process in processes] == [0] * shards, said
    assert len(stamps) == CASES
    merge_results([out], out)
    assert results_of(out) == whole
