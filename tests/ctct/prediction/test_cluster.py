"""Runs over a Ray cluster: one of two nodes on this machine, which the tests start and end."""

from __future__ import annotations

import json
import logging
import pickle
import threading
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.errors import ConfigError, ModelError, OutputError, RuntimeUnavailableError, StoppedError
from ctct.inference.segmenter import ModelSpec, Segmenter
from ctct.prediction.case_files import CaseFiles, PredictOptions
from ctct.prediction.cluster import connect
from ctct.prediction.cluster_worker import Job, Worker
from ctct.prediction.folder import predict_folder
from ctct.prediction.pipeline import Limits, Observer
from ctct.prediction.run_manifest import CaseStatus

pytest.importorskip("ray", reason="needs the extra cluster")

from cluster_support import LocalCluster, SlowSpec, local_cluster

TABLES = ("measurements.csv", "frames.csv", "segments.csv", "measurements.json")


class Ended(Observer):
    """Counts how often each case ended, and calls a function after some of them."""

    def __init__(self, after: int = 0, action: object = None) -> None:
        self.cases: Counter[str] = Counter()
        self._after, self._action = after, action

    def case_ended(self, case_status: CaseStatus) -> None:
        self.cases[case_status.case] += 1
        if self.cases.total() == self._after:
            self._action()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster() as local, connect(local.address, SlowSpec()):
        yield local


def predict(
    cluster: LocalCluster, scans: Path, out: Path, spec: SlowSpec | None = None, **more: object
) -> list[CaseStatus]:
    spec = spec or SlowSpec()
    model = SlowSpec().load().model
    with connect(cluster.address, spec) as connected:
        cases = discover([scans])[0]
        return predict_folder(cases, out, model, lambda _: spec.load(), cluster=connected, **more)


def write_scans(folder: Path, count: int) -> Path:
    for number in range(count):
        write_scan(folder / "in" / f"c{number:02}.nii", (40, 36, 3, 2))
    return folder / "in"


def results_of(out: Path) -> dict[str, bytes]:
    files = [*(out / name for name in TABLES), *out.glob("*_seg.nii.gz")]
    return {path.name: path.read_bytes() for path in files}


def results_here(threshold: Segmenter, scans: Path, out: Path) -> dict[str, bytes]:
    predict_folder(discover([scans])[0], out, threshold.model, lambda _: threshold)
    return results_of(out)


@pytest.mark.slow
def test_results_are_those_of_one_process(
    cluster: LocalCluster, threshold: Segmenter, tmp_path: Path
) -> None:
    scans, out = write_scans(tmp_path, 6), tmp_path / "out"
    ended = Ended()
    statuses = predict(cluster, scans, out, observer=ended)
    assert [(s.case, s.status) for s in statuses] == [(f"c{n:02}", "done") for n in range(6)]
    assert ended.cases == {f"c{n:02}": 1 for n in range(6)}
    assert results_of(out) == results_here(threshold, scans, tmp_path / "here")
    assert 1 <= json.loads((out / "run.json").read_text())["workers"] <= 2
    assert not [*out.glob(".*")]
    assert {s.status for s in predict(cluster, scans, out)} == {"skipped"}


@pytest.mark.slow
def test_cases_of_a_node_that_is_lost_are_done_elsewhere(
    cluster: LocalCluster, threshold: Segmenter, tmp_path: Path
) -> None:
    scans, out = write_scans(tmp_path, 12), tmp_path / "out"
    lost = cluster.nodes[-1]
    ended = Ended(4, lambda: cluster.remove_node(lost))
    try:
        statuses = predict(cluster, scans, out, SlowSpec(0.5), observer=ended)
    finally:
        cluster.add_node()
    assert [(s.case, s.status) for s in statuses] == [(f"c{n:02}", "done") for n in range(12)]
    assert ended.cases == {f"c{n:02}": 1 for n in range(12)}
    assert results_of(out) == results_here(threshold, scans, tmp_path / "here")


@pytest.mark.slow
def test_a_case_that_ends_its_worker_fails_alone(cluster: LocalCluster, tmp_path: Path) -> None:
    scans = write_scans(tmp_path, 5)
    voxels = write_scan(scans / "c02.nii", (40, 36, 3)).astype(np.int32)
    voxels[20, 20] = 3_000_000
    nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 8, 1])), scans / "c02.nii")
    statuses = predict(cluster, scans, tmp_path / "out")
    assert [s.status for s in statuses] == ["done", "done", "failed", "done", "done"]
    assert "worker was lost on each of 3 tries" in statuses[2].reason


@pytest.mark.slow
def test_a_run_that_is_told_to_stop_ends_cases_under_way_and_can_be_continued(
    cluster: LocalCluster, threshold: Segmenter, tmp_path: Path
) -> None:
    scans, out = write_scans(tmp_path, 10), tmp_path / "out"
    stop = threading.Event()
    ended = Ended(2, stop.set)
    with pytest.raises(StoppedError):
        predict(cluster, scans, out, SlowSpec(0.3), observer=ended, limits=Limits(stop=stop))
    assert 2 <= len([*out.glob("*_seg.nii.gz")]) == ended.cases.total() < 10
    statuses = predict(cluster, scans, out)
    assert Counter(s.status for s in statuses)["skipped"] == ended.cases.total()
    assert results_of(out) == results_here(threshold, scans, tmp_path / "here")


@pytest.mark.slow
def test_ctrl_c_waits_for_cases_under_way(cluster: LocalCluster, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path, 10), tmp_path / "out"

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(cluster, scans, out, SlowSpec(0.3), observer=Ended(2, interrupt))
    labelled = {path.name[:3] for path in out.glob("*_seg.nii.gz")}
    records = {p.stem: json.loads(p.read_text())["status"] for p in out.glob("quality/*.json")}
    assert 2 <= len(labelled) < 10
    assert {case for case, status in records.items() if status == "done"} == labelled


@pytest.mark.slow
def test_the_run_ends_after_too_many_failures(cluster: LocalCluster, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"c{number:02}.nii").write_bytes(b"no scan")
    statuses = predict(cluster, tmp_path / "in", tmp_path / "out", limits=Limits(max_failures=1))
    assert 2 <= len(statuses) < 12


@pytest.mark.slow
def test_a_node_without_the_model_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    spec = SlowSpec(path=str(tmp_path / "gone.onnx"))
    with pytest.raises(ModelError, match=r"^node \S+: .*gone\.onnx: no such file$"):
        predict(cluster, write_scans(tmp_path, 2), tmp_path / "out", spec)


@pytest.mark.slow
def test_a_node_with_another_model_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^node \S+: .*SHA-256 111111111111, not 000000000000"):
        predict(cluster, write_scans(tmp_path, 1), tmp_path / "out", SlowSpec(sha256="1" * 64))


def test_a_node_with_another_version_is_named() -> None:
    with pytest.raises(ConfigError, match=rf"^node n1: has ctct {version('ctct')}, this is 0.0.1;"):
        Worker("n1").begin("0.0.1", b"", "cpu")


@pytest.mark.slow
def test_no_room_for_a_worker_is_said(cluster: LocalCluster, tmp_path: Path) -> None:
    (path,) = write_scans(tmp_path, 1).iterdir()
    cases = [Case(path, "c00")]
    with (
        connect(cluster.address, SlowSpec(device="cuda"), 3) as connected,
        pytest.raises(RuntimeUnavailableError, match="no node has 3 CPUs and a GPU"),
    ):
        connected.run(cases, CaseFiles(tmp_path, PredictOptions()), Observer(), Limits())


def test_a_worker_that_does_not_see_the_results_says_so(tmp_path: Path) -> None:
    files = CaseFiles(tmp_path / "out", PredictOptions())
    job = Job(ModelSpec(), files, None, 1, tmp_path, tmp_path / "out" / ".x", logging.WARNING)
    with pytest.raises(OutputError, match=r"node n1: does not see .*out; give .* all nodes share"):
        Worker("n1").begin(version("ctct"), pickle.dumps(job), "cpu")
