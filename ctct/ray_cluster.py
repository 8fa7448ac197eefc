"""Joining a Ray cluster, and what all work on its nodes has in common."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.choices import Device
from ctct.errors import ConfigError, CtctError, OutputError, RuntimeUnavailableError
from ctct.installation import how_to_install

_CONNECTING_S = 10.0


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster that this process is connected to; see :func:`join_cluster`.

    Attributes:
        ray: the package.
        address: of the cluster, for messages.
        cpus: CPUs that each worker takes.
    """

    ray: Any
    address: str
    cpus: int

    def count_places(self, device: str) -> Counter[bool]:
        """Number of workers with a GPU, and without one, that all nodes have room for.

        Args:
            device: "cuda" or "cpu", which leaves the other kind of node out, or "auto".
        """
        places: Counter[bool] = Counter()
        for node in self.ray.nodes():
            resources = node["Resources"] if node["Alive"] else {}
            cpus, gpus = (int(resources.get(name, 0)) for name in ("CPU", "GPU"))
            by_cpus = cpus // self.cpus
            if gpus and device != "cpu":
                places[True] += min(gpus, by_cpus)
            elif device != "cuda":
                places[False] += by_cpus
        return +places

    def choose_device(self, device: str) -> Device:
        """The device of all workers: "cuda" where nodes have room for one with a GPU, else "cpu".

        Args:
            device: as for :meth:`count_places`.

        Raises:
            RuntimeUnavailableError: no node has room for a worker.
        """
        if not (places := self.count_places(device)):
            raise self.no_room(device)
        return "cuda" if places[True] else "cpu"

    def no_room(self, device: str) -> RuntimeUnavailableError:
        """The error where :meth:`count_places` finds none."""
        needed = f"{self.cpus} CPUs" + " and a GPU" * (device == "cuda")
        return RuntimeUnavailableError(
            f"--ray {self.address}: no node has {needed}; start nodes, or give other --ray-cpus "
            "and --device"
        )


@contextmanager
def join_cluster(address: str, cpus: int = 1) -> Iterator[RayCluster]:
    """Connect this process to a cluster, if it is not connected already.

    Args:
        address: "auto" for the one that this machine belongs to, "ray://host:10001", or host:port.
        cpus: CPUs that each worker takes.

    Raises:
        ConfigError: ``cpus`` makes no sense.
        RuntimeUnavailableError: there is no cluster, it cannot be joined, or Ray is not installed.
    """
    if cpus < 1:
        raise ConfigError(f"--ray-cpus {cpus}: give a number, from 1")
    ray = _load_ray()
    is_ours = not ray.is_initialized()
    if is_ours:
        with _own_sigterm():
            _init(ray, address)
    try:
        yield RayCluster(ray, address, cpus)
    finally:
        if is_ours:
            ray.shutdown()


def _load_ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise RuntimeUnavailableError(
            f"--ray needs ray, which is not installed; {how_to_install('cluster')}"
        ) from error
    return ray


def _init(ray: Any, address: str) -> None:
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host and port.isdecimal():  # Ray itself waits for a minute
            socket.create_connection((host, int(port)), _CONNECTING_S).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many kinds: no cluster, another version of Ray or of Python
        raise RuntimeUnavailableError(
            f"--ray {address}: cannot join a cluster there ({' '.join(str(error).split())[:300]}); "
            "start one with ray start --head"
        ) from error


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep what SIGTERM does here, which Ray changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def check_version(its_version: str, node: str) -> None:
    """Refuse work from another version of ctct.

    Args:
        its_version: version of ctct that sends it.
        node: what the error calls this machine.

    Raises:
        ConfigError: this machine has another one.
    """
    if its_version != (own := version("ctct")):
        raise ConfigError(
            f"node {node}: has ctct {own}, this is {its_version}; install one version on all nodes"
        )


def open_job(its_version: str, packed: bytes, node: str) -> Any:
    """A pickled job, whose relative paths start from where they did when it was made.

    Args:
        its_version: version of ctct that sends it.
        packed: the job, which has the attribute ``here``.
        node: what errors call this machine.

    Raises:
        ConfigError: this machine has another version of ctct.
    """
    check_version(its_version, node)
    job = pickle.loads(packed)
    with suppress(OSError):  # where all paths are absolute it does not matter
        os.chdir(job.here)
    return job


def not_shared(folder: Path) -> OutputError:
    """The error of a node that does not see the folder of the results."""
    return OutputError(
        f"does not see {folder}; give an output folder on a disk that all nodes share"
    )


@contextmanager
def naming_node(node: str) -> Iterator[None]:
    """Put the name of the node before the message of an error."""
    try:
        yield
    except CtctError as error:
        error.args = (f"node {node}: {error}",)
        raise


def cause_of(error: Any) -> CtctError:
    """What a worker raised.

    Args:
        error: a RayTaskError.
    """
    cause = error.cause
    if isinstance(cause, CtctError):
        return cause
    lines = str(error).strip().splitlines()
    return RuntimeUnavailableError(
        f"a worker of the cluster failed ({' '.join(lines[-1:])[:300]}); install the same ctct, "
        "with the same extras, on all nodes"
    )
