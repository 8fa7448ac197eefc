from __future__ import annotations

import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from node_support import free_port

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.ray_cluster import RayCluster, cause_of, check_version, join_cluster, naming_node


def cluster(*nodes: tuple[int, int], cpus: int = 2) -> RayCluster:
    """A cluster of nodes with so many CPUs and GPUs, and one that is gone."""
    found = [{"Alive": True, "Resources": {"CPU": c, "GPU": g}} for c, g in nodes]
    found.append({"Alive": False, "Resources": {"CPU": 64, "GPU": 8}})
    return RayCluster(SimpleNamespace(nodes=lambda: found), "head:1", cpus)


@pytest.mark.parametrize(
    ("device", "with_gpu", "without"),
    # Nodes of 8 CPUs and 2 GPUs, of 3 CPUs and 4 GPUs, of 5 CPUs; two CPUs for each worker.
    [("auto", 2 + 1, 2), ("cuda", 2 + 1, 0), ("cpu", 0, 4 + 1 + 2)],
)
def test_places(device: str, with_gpu: int, without: int) -> None:
    places = cluster((8, 2), (3, 4), (5, 0)).count_places(device)
    assert (places[True], places[False]) == (with_gpu, without)


def test_one_kind_of_device() -> None:
    mixed = cluster((8, 2), (5, 0))
    assert [mixed.choose_device(d) for d in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    assert cluster((8, 0)).choose_device("auto") == "cpu"


@pytest.mark.parametrize(("device", "needed"), [("auto", "2 CPUs;"), ("cuda", "2 CPUs and a GPU;")])
def test_no_room(device: str, needed: str) -> None:
    with pytest.raises(RuntimeUnavailableError, match=f"--ray head:1: no node has {needed} start"):
        cluster((1, 1)).choose_device(device)


def test_a_head_that_is_not_there_is_named_at_once() -> None:
    pytest.importorskip("ray", reason="needs the extra cluster")
    address = f"127.0.0.1:{free_port()}"
    with (
        pytest.raises(RuntimeUnavailableError, match=f"--ray {address}: cannot join .* ray start"),
        join_cluster(address),
    ):
        pass


def test_without_ray_the_command_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(RuntimeUnavailableError, match=r"not installed; .*install .*cluster"),
        join_cluster("auto"),
    ):
        pass


def test_a_worker_takes_at_least_one_cpu() -> None:
    with pytest.raises(ConfigError, match="--ray-cpus 0"), join_cluster("auto", 0):
        pass


def test_another_version_is_refused() -> None:
    check_version(version("ctct"), "n1")
    with pytest.raises(ConfigError, match=rf"^node n1: has ctct {version('ctct')}, this is 0.0.1;"):
        check_version("0.0.1", "n1")


def test_an_error_names_its_node() -> None:
    with pytest.raises(ModelError, match=r"^node n1: gone$"), naming_node("n1"):
        raise ModelError("gone")


def test_what_a_worker_raised() -> None:
    ours = ModelError("gone")
    assert cause_of(SimpleNamespace(cause=ours)) is ours

    class OfRayError(Exception):
        cause = ImportError()

    other = cause_of(OfRayError("traceback\nImportError: no module"))
    assert str(other).startswith("a worker of the cluster failed (ImportError: no module); install")
    assert other.exit_code == 5
