"""The training loop, top to bottom."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn

from ctct.errors import EXIT_INTERRUPTED, ConfigError, CtctError
from ctct.model_files.variant import MEMBERS
from ctct.models.checkpoint import ModelDescription, load_checkpoint, save_checkpoint
from ctct.models.graph import SegmentationGraph
from ctct.models.networks import architecture, build_graph
from ctct.storage import prepare_folder, write_atomic
from ctct.training.config import TrainingConfig
from ctct.training.data.layouts import read_collection
from ctct.training.data.slices import SliceSet
from ctct.training.devices import compiles, make_fabric
from ctct.training.monitor import Monitor
from ctct.training.resume import RESUME_FILE, load_resume, save_resume
from ctct.training.schedules import SCHEDULES, ramp_up
from ctct.training.split import split_patients, training_data
from ctct.training.step import batch_loss, draw_batch, part_of
from ctct.training.validation import validate

log = logging.getLogger(__name__)

CONFIG_FILE, SPLIT_FILE = "config.json", "split.json"

#: Steps between two looks at the loss, which on a GPU is waited for.
LOG_EVERY = 50


class DivergedError(CtctError):
    """The loss is no longer a number."""


class StoppedError(CtctError):
    """The run was stopped from outside, and saved."""

    exit_code = EXIT_INTERRUPTED


def train(
    config: TrainingConfig,
    folder: str | Path,
    *,
    device: str = "auto",
    devices: int = 1,
    resume: bool = False,
    observe: Callable[[int, int], None] = lambda step, steps: None,
) -> dict[str, float]:
    """Train the pair, or go on where the run in ``folder`` was stopped.

    Writes into ``folder``: ``config.json``, ``split.json``, ``model.safetensors`` (the averaged
    weights), ``resume.safetensors``, and what :class:`~ctct.training.monitor.Monitor` writes.

    Args:
        config: of the run.
        folder: of the run.
        device: "cpu", "cuda" or "auto".
        devices: processes, each with its part of every batch.
        resume: go on with the run in ``folder``.
        observe: called after each step with its number and the number of all.

    Returns:
        Mean validation Dice per case of ``cnn``, ``transformer`` and ``ensemble`` of the weights
        that were kept.

    Raises:
        StoppedError: by Ctrl-C or SIGTERM, after saving.
        DivergedError: the loss is not a number.
    """
    folder = Path(folder)
    if resume != (folder / RESUME_FILE).exists():
        raise ConfigError(
            f"{folder}: there is no run to go on with"
            if resume
            else f"{folder}: holds a run already; go on with --resume, or choose another folder"
        )
    prepare_folder(folder)
    fabric = make_fabric(device, devices, config)
    collection = read_collection(config.data, config.label_order, config.unlabelled)
    split = split_patients(collection, config)
    data = training_data(collection, split)
    labelled = SliceSet(data.labelled, fabric.device)
    unlabelled = SliceSet(data.unlabelled or data.labelled, fabric.device)
    main = fabric.is_global_zero
    if main:
        for name, content in ((CONFIG_FILE, config.to_dict()), (SPLIT_FILE, split.to_dict())):
            write_atomic(folder / name, (json.dumps(content, indent=2) + "\n").encode())
        log.info(
            "%d labelled and %d unlabelled patients (%d and %d slices), %d for validation, on %s",
            *(len(split.labelled), len(split.unlabelled)),
            *(len(labelled), len(unlabelled) if data.unlabelled else 0),
            *(len(split.validation), fabric.device),
        )

    torch.manual_seed(config.seed)
    fresh = config.pretrained and not (resume or config.init_from)
    students = build_graph({**config.to_dict(), "pretrained": fresh})
    if config.init_from and not resume:
        load_initial_weights(students, config)
    grid = students.grid
    students.to(fabric.device)
    # channels-last halves the time of the convolutions on a CPU, and suits a GPU's.
    students.to(memory_format=torch.channels_last)
    if devices > 1 and fabric.device.type == "cuda":
        students = nn.SyncBatchNorm.convert_sync_batchnorm(students)  # type: ignore[no-untyped-call]
    averaged = copy.deepcopy(students).eval()
    if compiles(config, fabric.device):
        students.cnn.compile()
        students.transformer.compile()
    groups = [
        {"params": students.cnn.parameters()},
        {"params": students.transformer.parameters()},
    ]
    optimizer: torch.optim.Optimizer
    if config.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, 0.01, 0.9, weight_decay=config.weight_decay)
    else:
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
    generator = torch.Generator(fabric.device).manual_seed(config.seed)
    torch.manual_seed(config.seed + fabric.global_rank)  # dropout differs between processes
    modules: dict[str, nn.Module] = {"students": students, "averaged": averaged}
    generators = {"batches": generator}
    state = load_resume(folder, modules, optimizer, generators) if resume else None
    step: int = state["step"] if state else 0
    best: dict[str, float] = state["best"] if state else {}
    if step >= config.steps:
        raise ConfigError(f"{folder}: this run has had its {step} steps; raise --steps to go on")
    networks = (fabric.setup_module(students.cnn), fabric.setup_module(students.transformer))
    teachers = (averaged.cnn, averaged.transformer)
    monitor = Monitor(folder, step) if main else None

    def save() -> None:
        if main:
            for pair in (students, averaged):
                pair.fit(grid.size)  # as a run that goes on makes them
            values = {"step": step, "best": best}
            save_resume(folder, modules, optimizer, generators, values)

    recent: deque[tuple[int, list[Tensor]]] = deque(maxlen=LOG_EVERY)
    nothing = torch.full((), -1, device=fabric.device)
    first_bad, sums = nothing, torch.zeros(2, device=fabric.device)
    pieces = 1  # of a batch, more where the GPU's memory is short
    started, first = time.monotonic(), step
    with _interruption() as interrupted:
        while step < config.steps:
            progress = step / config.steps
            rates = (config.cnn_rate, config.transformer_rate)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * SCHEDULES[config.schedule](progress)
            cross_teaching_weight = config.cross_teaching_weight * ramp_up(progress / config.ramp)
            alone = config.labelled_only or progress < config.warm_up

            students.train()
            try:
                optimizer.zero_grad(set_to_none=True)
                for _ in range(pieces):
                    piece = smaller(config, pieces)
                    batch, numbers = draw_batch(
                        labelled, None if alone else unlabelled, piece, grid, generator
                    )
                    batch = part_of(batch, fabric.global_rank, fabric.world_size)
                    for pair in (students, averaged):
                        pair.fit(batch.weak.shape[-1])
                    with fabric.autocast():
                        loss, parts = batch_loss(
                            batch, networks, teachers, piece, cross_teaching_weight
                        )
                    fabric.backward(loss / pieces)
            except torch.OutOfMemoryError:
                pieces *= 2
                smaller(config, pieces)  # raises where the batch cannot be halved again
                log.warning(
                    "out of memory: each batch goes in %d pieces from step %d", pieces, step
                )
                torch.cuda.empty_cache()
                continue
            if config.clip:
                nn.utils.clip_grad_norm_(students.parameters(), config.clip)
            optimizer.step()
            recent.append((step, numbers))
            first_bad = torch.where((first_bad < 0) & ~loss.detach().isfinite(), step, first_bad)
            sums += torch.stack((parts["supervised"], parts["crossed"]))
            step += 1
            update_average(averaged, students, min(config.ema_decay, (1 + step) / (10 + step)))
            observe(step, config.steps)

            ends = step == config.steps or interrupted()
            validates = step % config.validate_every == 0 or step == config.steps
            saves = step % config.save_every == 0 or validates or ends
            if step % LOG_EVERY == 0 or saves:
                bad = int(first_bad.item())
                if bad >= 0:
                    raise DivergedError(_diverged(bad, dict(recent)[bad], labelled, unlabelled))
            if step % LOG_EVERY == 0 and monitor:
                supervised, crossed = (sums / len(recent)).tolist()  # fewer after --resume
                rate = (step - first) / (time.monotonic() - started)
                monitor.record(
                    step,
                    supervised=supervised,
                    crossed=crossed,
                    cross_teaching_weight=0.0 if alone else cross_teaching_weight,
                    cnn_rate=optimizer.param_groups[0]["lr"],
                    steps_per_s=rate,
                )
                log.info(
                    "step %d/%d: labelled %.3f, pseudo-labels %.3f, %.2f steps/s, %.0f min left",
                    *(step, config.steps, supervised, crossed, rate),
                    (config.steps - step) / rate / 60,
                )
            if step % LOG_EVERY == 0:
                sums = torch.zeros_like(sums)
            if validates and monitor:
                averaged.fit(grid.size)
                weights, scores = validate(averaged, data.validation)
                log.info("step %d: %s", step, ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
                if config.keep == "last" or scores["ensemble"] >= best.get("ensemble", 0.0):
                    best = scores
                    save_checkpoint(
                        folder, averaged, ModelDescription(config.to_dict(), step, weights, scores)
                    )
                monitor.record(step, **{f"dice_{name}": dice for name, dice in scores.items()})
                averaged.fit(batch.weak.shape[-1])
                monitor.picture(step, batch, averaged, config)
                monitor.curves()
            if saves:
                save()
                fabric.barrier()
            if ends and step < config.steps:
                raise StoppedError(
                    f"stopped at step {step} of {config.steps} and saved; "
                    f"go on with: ctct train --resume -o {folder}"
                )
    if monitor:
        monitor.close()
    return best


def load_initial_weights(students: SegmentationGraph, config: TrainingConfig) -> None:
    """Give ``students`` the weights of ``config.init_from``.

    Raises:
        ConfigError: these are of other networks or of another grid.
        ModelError: there is no such model.
    """
    path = str(config.init_from)
    graph, description = load_checkpoint(path)
    held, wanted = architecture(description.config), architecture(config.to_dict())
    if held != wanted or graph.variant.members != MEMBERS:
        only = "" if graph.variant.members == MEMBERS else f", {graph.variant.members[0]} alone"
        raise ConfigError(
            f"{path}: holds {', '.join(f'{k} {v}' for k, v in held.items())}{only}; the run has "
            f"{', '.join(f'{k} {v}' for k, v in wanted.items())}; leave out what differs, or "
            "--init-from"
        )
    students.load_weights(graph.state_dict())


def smaller(config: TrainingConfig, pieces: int) -> TrainingConfig:
    """``config`` with a batch ``pieces`` times smaller.

    Raises:
        ConfigError: it is not that large.
    """
    if pieces == 1:
        return config
    batch, known = config.batch // pieces, config.labelled_batch_size // pieces
    if batch < 2 or known < 1:
        raise ConfigError(
            "out of memory even with a batch of two; choose a smaller grid or network"
        )
    return dataclasses.replace(config, batch=batch, labelled_batch=known)


@torch.no_grad()
def update_average(averaged: nn.Module, current: nn.Module, decay: float) -> None:
    """Move every floating-point tensor of ``averaged`` towards ``current``; copy the others."""
    own, new = averaged.state_dict(), current.state_dict()
    real = [name for name, tensor in own.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([own[name] for name in real], [new[name] for name in real], 1 - decay)
    for name in own.keys() - set(real):
        own[name].copy_(new[name])


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came meanwhile; they no longer end the process at once."""
    came: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(each, remember) for each in signals]
    except ValueError:  # not the main thread: whoever runs it there decides
        yield lambda: False
        return
    try:
        yield lambda: bool(came)
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _diverged(step: int, numbers: list[Tensor], *sets: SliceSet) -> str:
    names = [
        slices.names[i] for slices, own in zip(sets, numbers, strict=False) for i in own.tolist()
    ]
    return (
        f"the loss of step {step} is not a number; its batch was {', '.join(names)}; look at these "
        "scans, or start again with smaller --cnn-rate and --transformer-rate, or --precision fp32"
    )
