"""Devices, precision and compilation of a run, by way of Lightning Fabric."""

from __future__ import annotations

import copy
import logging
import os
import shutil
import time
from typing import TYPE_CHECKING

import torch

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.models.networks import build_network
from ctct.training.config import TrainingConfig
from ctct.training.processes import started_by_torchrun

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

#: A compilation of some minutes pays on a run of this many steps.
LONG_RUN = 1000


def make_fabric(device: str, devices: int, config: TrainingConfig) -> Fabric:
    """Fabric, launched, on a number of ``devices``: "cpu", "cuda", or "auto" for a GPU if any.

    Under torchrun, the processes are those that it started on all nodes.

    Raises:
        ConfigError: the batch cannot be shared out evenly, or torchrun started other processes
            than ``devices`` on each node.
        RuntimeUnavailableError: there are fewer GPUs.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError:  # the larger package contains it too
        from lightning.fabric import Fabric

    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device must be auto, cpu or cuda, got {device!r}")
    devices, nodes = count_processes(devices)
    if devices < 1 or config.batches.batch % (2 * devices * nodes):
        among = f"--devices {devices}" if nodes == 1 else f"{nodes} nodes × {devices} processes"
        raise ConfigError(
            f"{among}: the batch of {config.batches.batch} cannot be shared out evenly"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and torch.cuda.device_count() < devices:
        raise RuntimeUnavailableError(
            f"--devices {devices}: {torch.cuda.device_count()} CUDA GPU found; use fewer, or "
            "--device cpu"
        )
    precision: str = config.run.precision
    if precision == "auto":
        if device == "cuda":
            precision = "bf16"
        else:  # several processes, which would each measure for themselves, are to agree
            precision = "fp32" if devices * nodes > 1 else faster_cpu_precision(config)
        log.info("precision %s", precision)
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        num_nodes=nodes,
        strategy="auto" if devices * nodes == 1 else "ddp",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def count_processes(devices: int) -> tuple[int, int]:
    """Processes on each node, and nodes: those of torchrun, otherwise ``devices`` on this one.

    Raises:
        ConfigError: torchrun started another number, or not the same on all nodes.
    """
    if not started_by_torchrun():
        return devices, 1
    here, all_of_them = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if devices not in (1, here):
        raise ConfigError(
            f"--devices {devices}: torchrun started {here} on this node; leave out --devices"
        )
    if all_of_them % here:
        raise ConfigError(
            f"torchrun started {here} of {all_of_them} processes on this node; give the same "
            "--nproc-per-node on all nodes"
        )
    return here, all_of_them // here


def default_preset(device: str, announce: bool = True) -> str:
    """The preset "best" on a GPU, "small" on a CPU."""
    if device != "cpu" and torch.cuda.is_available():
        return "best"
    if announce:
        log.info("no GPU: preset small, the recipe of best with smaller networks")
    return "small"


def faster_cpu_precision(config: TrainingConfig, rounds: int = 3) -> str:
    """The faster of "bf16" and "fp32" in a few steps of the first network: processors differ."""
    state = torch.get_rng_state()
    network = build_network(config.pair.networks[0], config.to_dict() | {"pretrained": False})
    network.to(memory_format=torch.channels_last)
    images = torch.rand(2, 1, config.pair.grid_size, config.pair.grid_size)
    seconds = {}
    for name in ("fp32", "bf16"):
        trial, times = copy.deepcopy(network), []
        for _ in range(rounds):
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                output = trial(images.contiguous(memory_format=torch.channels_last))
            output.float().mean().backward()
            times.append(time.perf_counter() - start)
        seconds[name] = min(times)
    torch.set_rng_state(state)
    return min(seconds, key=lambda name: seconds[name])


def should_compile(config: TrainingConfig, device: torch.device) -> bool:
    """Whether to use torch.compile: as set, else on long runs on a GPU if a compiler is found."""
    if config.run.compile is not None:
        return config.run.compile
    compiler = any(shutil.which(name) for name in ("c++", "g++", "clang++"))
    return compiler and device.type == "cuda" and config.optimization.steps >= LONG_RUN
