"""The state from which a run continues exactly where it stopped, as safetensors and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ctct.errors import ModelError, OutputError
from ctct.models.checkpoint import save_tensors

RESUME_FILE = "resume.safetensors"


def save_resume(
    folder: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    generators: dict[str, torch.Generator],
    state: dict[str, Any],
) -> None:
    """Write ``folder/resume.safetensors``, whole or not at all; the former one survives a failure.

    Args:
        folder: of the run.
        modules: networks by name.
        optimizer: of them.
        generators: random states by name; torch's own is saved too.
        state: plain values, for JSON.

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {
        f"{name}.{key}": tensor
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    for number, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            tensors[f"optimizer.{number}.{slot}"] = torch.as_tensor(value)
    for name, generator in generators.items():
        tensors[f"generator.{name}"] = generator.get_state()
    tensors["generator.torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["generator.cuda"] = torch.cuda.get_rng_state()
    on_cpu = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    path = folder / RESUME_FILE
    try:
        save_tensors(path, on_cpu, {"state": json.dumps(state)})
    except OutputError as error:
        remedy = "then continue from the former one with --resume"
        if not path.exists():
            remedy = "then start again in another folder, for there is no former one"
        raise OutputError(f"{error}; make room, {remedy}", error.everywhere) from error


def read_state(folder: Path) -> dict[str, Any]:
    """The plain values in ``folder/resume.safetensors``.

    Raises:
        ModelError: the file is missing or damaged.
    """
    path = folder / RESUME_FILE
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads(file.metadata()["state"])
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); delete it to start afresh") from error
    return state


def load_resume(
    folder: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    generators: dict[str, torch.Generator],
) -> dict[str, Any]:
    """Put back what :func:`save_resume` wrote, and return its ``state``.

    Raises:
        ModelError: the file is missing, damaged or of other networks.
    """
    path = folder / RESUME_FILE
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {_present_name(n): file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
            state: dict[str, Any] = json.loads(file.metadata()["state"])
        for name, module in modules.items():
            module.load_state_dict(_with_prefix(tensors, name))
        # As the optimizer has it: slots by the number of their parameter. Its settings are those
        # of the present run, not of the file.
        slots: dict[int, dict[str, Tensor]] = {}
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for key, tensor in _with_prefix(tensors, "optimizer").items():
            number, slot = key.split(".")
            parameter = parameters[int(number)]
            if tensor.shape == parameter.shape:  # a fused optimizer relies on equal strides
                tensor = torch.empty_like(parameter).copy_(tensor)
            slots.setdefault(int(number), {})[slot] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": slots, "param_groups": groups})
        for name, generator in generators.items():
            generator.set_state(tensors[f"generator.{name}"])
        torch.set_rng_state(tensors["generator.torch"])
        if torch.cuda.is_available() and "generator.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["generator.cuda"])
    except (
        *(OSError, SafetensorError, LookupError),
        *(TypeError, ValueError, RuntimeError),
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path}: damaged, or of other networks ({reason}); delete it to start afresh"
        ) from error
    return state


def _with_prefix(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def _present_name(name: str) -> str:
    """The name that a tensor of a file of version 0.1 has today."""
    return name.replace("optimiser.", "optimizer.", 1) if name.startswith("optimiser.") else name
