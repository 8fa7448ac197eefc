"""Studies over a Ray cluster: one of two nodes on this machine, which the tests start and end."""

from __future__ import annotations

import csv
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from tests_support import write_acdc

from ctct.errors import ConfigError, ModelError, OutputError
from ctct.ray_cluster import RayCluster, join_cluster
from ctct.training.config import TrainingConfig
from ctct.training.interruption import StoppedError
from ctct.training.resume import read_state
from ctct.training.study import run_study
from ctct.training.study_cluster import Job, run_on_cluster, train_on_node
from ctct.training.study_result import Cell, Result

pytest.importorskip("ray", reason="needs the extra cluster")

import ray
from cluster_support import LocalCluster, local_cluster

TINY = {
    "networks": ("unet", "unet"),
    "grid_size": 32,
    "batch": 2,
    "steps": 2,
    "validate_every": 1,
    "precision": "fp32",
    "warm_up": 0.0,
}
#: Long enough to be stopped half-way, at step 50 at the earliest, where metrics.csv gets its row.
LONG = TINY | {"steps": 100, "validate_every": 100, "save_every": 40}
CELLS = [Cell("labelled_only", 1, 0), Cell("mean_teacher", 1, 0)]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    with local_cluster() as started:
        yield started


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[RayCluster]:
    with join_cluster(local.address) as joined:
        yield joined


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the workers: sums of several threads differ in the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_acdc(folder)
    return folder


def study(
    data: Path, out: Path, settings: dict[str, object], **more: object
) -> tuple[list[Result], dict[str, str]]:
    methods = [cell.method for cell in CELLS]
    return run_study(TrainingConfig(data=data, **settings), out, methods, (1,), (0,), **more)


def without_minutes(results: list[Result]) -> list[dict[str, object]]:
    return [asdict(result) | {"minutes": None} for result in results]


def check_equal(out: Path, expected: Path) -> None:
    """Two studies hold the same, except for times."""
    names = {path.name for path in expected.iterdir()}
    assert {path.name for path in out.iterdir()} == names
    for folder in filter(Path.is_dir, out.iterdir()):
        other = expected / folder.name
        for name in ("config.json", "split.json"):
            assert (folder / name).read_bytes() == (other / name).read_bytes()
        ours, theirs = (load_file(f / "model.safetensors") for f in (folder, other))
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[name], atol=1e-6, rtol=0, msg=name)
        assert last_dice(folder) == last_dice(other)


def last_dice(run: Path) -> dict[str, str]:
    """Of metrics.csv, whose losses are means since the run went on."""
    *_, row = csv.DictReader((run / "metrics.csv").open())
    return {name: value for name, value in row.items() if name == "step" or "dice" in name}


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)


def trains(run: Path) -> bool:
    """Whether a run has had its 50th step."""
    table = run / "metrics.csv"
    return table.exists() and len(table.read_text().splitlines()) > 1


@pytest.mark.slow
def test_results_are_those_without_a_cluster(
    cluster: RayCluster, data: Path, tmp_path: Path
) -> None:
    begun: list[tuple[str, int, int]] = []
    out, here = tmp_path / "out", tmp_path / "here"
    results, failed = study(
        *(data, out, TINY),
        cluster=cluster,
        test=data,
        on_run=lambda *which: begun.append(which),
    )
    expected, _ = study(data, here, TINY, test=data)
    assert without_minutes(results) == without_minutes(expected)
    assert not failed
    assert sorted(begun) == [(CELLS[0].name, 1, 2), (CELLS[1].name, 2, 2)]
    check_equal(out, here)
    # Finished runs are kept.
    again, _ = study(data, out, TINY, cluster=cluster, test=data)
    assert (again, len(begun)) == (results, 2)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["worker", "node"])
def test_a_run_whose_worker_is_lost_goes_on(
    what: str,
    local: LocalCluster,
    cluster: RayCluster,
    data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, here = tmp_path / "out", tmp_path / "here"
    run = out / CELLS[0].name
    lost = local.nodes[-1]

    def lose() -> None:
        wait_for(lambda: all(trains(out / cell.name) for cell in CELLS))
        if what == "node":
            local.remove_node(lost)
        else:
            (place,) = out.glob(f".*/{run.name}")
            os.kill(int(place.read_text().split()[1]), signal.SIGKILL)

    thread = threading.Thread(target=lose)
    thread.start()
    try:
        _, failed = study(data, out, LONG, cluster=cluster)
    finally:
        thread.join()
        if what == "node":
            local.add_node()
    assert not failed
    # A run that did not go on from its last save would have been refused: its folder holds one.
    assert sum("its worker was lost; it goes on" in line for line in caplog.messages) == 1
    study(data, here, LONG)
    check_equal(out, here)


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_does_not_stop_the_others(
    cluster: RayCluster, data: Path, tmp_path: Path
) -> None:
    settings = TINY | {"unlabelled_weight": 1e300, "confidence": 0.0}
    results, failed = study(data, tmp_path, settings, cluster=cluster)
    assert [result.method for result in results] == ["labelled_only"]
    ((name, reason),) = failed.items()
    assert name == "mean_teacher_1_seed0"
    assert "the loss of step" in reason


@pytest.mark.slow
def test_a_fault_that_every_run_would_meet_ends_the_study(
    cluster: RayCluster, data: Path, tmp_path: Path
) -> None:
    config = TrainingConfig(data=data, init_from=tmp_path / "lost.safetensors", **TINY)
    with pytest.raises(ModelError, match=r"^node \S+: .*lost\.safetensors"):
        run_study(config, tmp_path, ("labelled_only",), (1,), (0, 1), cluster=cluster)
    assert not [*tmp_path.glob(".*")]


@pytest.mark.slow
def test_ctrl_c_saves_the_runs_under_way_and_the_same_call_continues(
    cluster: RayCluster, data: Path, tmp_path: Path
) -> None:
    out, here, settings = tmp_path / "out", tmp_path / "here", LONG | {"save_every": 100}

    def interrupt() -> None:
        wait_for(lambda: all(trains(out / cell.name) for cell in CELLS))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(StoppedError, match="the same command continues"):
        study(data, out, settings, cluster=cluster)
    thread.join()
    for cell in CELLS:  # saved by nothing else
        assert 50 <= read_state(out / cell.name)["step"] < 100
    study(data, out, settings, cluster=cluster)
    study(data, here, settings)
    check_equal(out, here)


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_saves_and_its_run_goes_on(
    cluster: RayCluster, data: Path, tmp_path: Path
) -> None:
    """As on a node that is taken away with notice."""
    settings = LONG | {"save_every": 100}
    run = tmp_path / CELLS[0].name
    steps: list[int] = []

    def end() -> None:
        wait_for(lambda: trains(run))
        (place,) = tmp_path.glob(f".*/{run.name}")
        os.kill(int(place.read_text().split()[1]), signal.SIGTERM)
        wait_for((run / "resume.safetensors").exists)
        steps.append(read_state(run)["step"])

    thread = threading.Thread(target=end)
    thread.start()
    _, failed = study(data, tmp_path, settings, cluster=cluster)
    thread.join()
    assert not failed
    assert 50 <= steps[0] < 100


def job(data: Path, folder: Path, begun: Path) -> bytes:
    config = TrainingConfig(data=data, **TINY)
    return pickle.dumps(Job(config, folder, None, "cpu", Path.cwd(), begun))


def test_a_node_with_another_version_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^node \S+: has ctct .*, this is 0.0.1"):
        train_on_node("0.0.1", b"", CELLS[0])


def test_a_node_that_does_not_see_the_folder_says_so(data: Path, tmp_path: Path) -> None:
    packed = job(data, tmp_path / "gone", tmp_path / "gone" / ".x")
    with pytest.raises(OutputError, match=r"^node \S+: does not see .*gone; give .* all nodes"):
        train_on_node(version("ctct"), packed, CELLS[0])


def test_a_run_lost_before_its_first_save_begins_anew(data: Path, tmp_path: Path) -> None:
    run = tmp_path / CELLS[0].name
    run.mkdir()
    (run / "model.safetensors").write_bytes(b"of the first validation")
    begun = tmp_path / "begun"
    begun.mkdir()
    packed = job(data, tmp_path, begun)
    with pytest.raises(ConfigError, match=r"holds model\.safetensors of a run that cannot"):
        train_on_node(version("ctct"), packed, CELLS[0])  # somebody else's
    assert "process" in (begun / run.name).read_text()  # and now of this study
    assert train_on_node(version("ctct"), packed, CELLS[0]).step in (1, 2)


def test_a_run_that_loses_every_worker_fails_alone(tmp_path: Path) -> None:
    class Task:
        def remote(self, its_version: str, packed: bytes, cell: Cell) -> Cell:
            return cell

    def get(cell: Cell) -> Result:
        if cell == CELLS[0]:
            raise ray.exceptions.WorkerCrashedError
        return Result(*asdict(cell).values(), "", 2, 0.0, {"ensemble": 0.5}, {})

    stub = SimpleNamespace(
        exceptions=ray.exceptions,
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 1}}],
        put=lambda content: content,
        remote=lambda **options: lambda function: Task(),
        wait=lambda cells, timeout: (cells[:1], cells[1:]),
        get=get,
    )
    ended: dict[Cell, object] = {}
    run_on_cluster(
        *(RayCluster(stub, "head:1", 1), TrainingConfig(data=tmp_path), tmp_path, None, "auto"),
        *(CELLS, lambda cell: None, ended.__setitem__),
    )
    assert "its worker was lost on each of 4 tries" in str(ended[CELLS[0]])
    assert isinstance(ended[CELLS[1]], Result)


def test_runs_on_cpus_are_all_of_one_precision(tmp_path: Path) -> None:
    """Each node would measure for itself which is faster."""
    packed: list[bytes] = []

    def put(content: bytes) -> None:
        packed.append(content)
        raise RuntimeError("far enough")

    for gpus, precision in ((0, "fp32"), (1, "auto")):
        nodes = [{"Alive": True, "Resources": {"CPU": 1, "GPU": gpus}}]
        stub = SimpleNamespace(
            nodes=lambda nodes=nodes: nodes, remote=lambda **options: lambda function: None, put=put
        )
        with pytest.raises(RuntimeError, match="far enough"):
            run_on_cluster(
                *(RayCluster(stub, "head:1", 1), TrainingConfig(data=tmp_path), tmp_path, None),
                *("auto", CELLS, lambda cell: None, lambda cell, outcome: None),
            )
        assert pickle.loads(packed[-1]).config.run.precision == precision
