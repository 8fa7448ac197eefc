"""A Ray cluster of two nodes on this machine, and a model that its workers load at once."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests_support import ThresholdRuntime

from ctct.errors import ModelError
from ctct.inference.segmenter import Segmenter
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.base import Prediction

ROOT = Path(__file__).resolve().parents[2]
_STORE_BYTES = 80 * 2**20
#: Ray gives up on a node whose helpers take more than 15 seconds to start.
_STARTS = 3
_PATHS = (str(ROOT), str(ROOT / "tests" / "support"))


class SlowRuntime(ThresholdRuntime):
    """The same after a while; a slice brighter than any other ends the process."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
        if slices.max() > 1e6:
            os._exit(1)
        time.sleep(self._seconds)
        return super().__call__(slices, spacing_mm)


@dataclass(frozen=True)
class SlowSpec:
    """Stands in for ModelSpec; ``path`` must be there, unless it is empty."""

    seconds: float = 0.0
    path: str = ""
    sha256: str = "0" * 64
    device: str = "auto"

    def load(self) -> Segmenter:
        if self.path and not Path(self.path).exists():
            raise ModelError(f"{self.path}: no such file")
        file = ModelFile(Path("threshold.onnx"), {}, self.sha256)
        return Segmenter(file, SlowRuntime(self.seconds))


class LocalCluster:
    """A head without CPUs of its own, and nodes that come and go."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address
        self.nodes: list[Any] = []

    def add_node(self, cpus: int = 1) -> Any:
        """Start a node."""
        # Ray copies the environment of this process.
        before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join(_PATHS)
        try:
            options = _node_options()
            del options["include_dashboard"]
            node = self._cluster.add_node(num_cpus=cpus, **options)
        finally:
            os.environ["PYTHONPATH"] = before
        self.nodes.append(node)
        return node

    def remove_node(self, node: Any) -> None:
        """Kill a node with its workers, as when the machine is taken away."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)


def _node_options() -> dict[str, Any]:
    """A small store, no dashboard, and ports that Ray need not wait for on a busy machine."""
    names = [f"{name}_port" for name in ("metrics_agent", "metrics_export", "runtime_env_agent")]
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = dict(zip(names, (one.getsockname()[1] for one in sockets), strict=True))
    return {"object_store_memory": _STORE_BYTES, "include_dashboard": False, **ports}


@contextmanager
def local_cluster(nodes: int = 2, cpus: int = 1) -> Iterator[LocalCluster]:
    """A cluster of small nodes, which ends with the block."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"}
    cluster = _start_head(Cluster)
    try:
        local = LocalCluster(cluster)
        for _ in range(nodes):
            local.add_node(cpus)
        yield local
    finally:
        cluster.shutdown()


def _start_head(kind: Any) -> Any:
    for attempt in range(_STARTS):
        cluster = kind()
        try:
            cluster.add_node(num_cpus=0, **_node_options())
        except Exception:  # it has no class of its own
            cluster.shutdown()
            if attempt == _STARTS - 1:
                raise
        else:
            return cluster
    raise AssertionError
