"""Training: set up a run, then take step after step until it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ctct.training.config import TrainingConfig
from ctct.training.data.hearts import find_hearts
from ctct.training.data.slices import SliceSet
from ctct.training.devices import make_fabric
from ctct.training.interruption import StoppedError, catch_interruption
from ctct.training.losses import sum_over_processes
from ctct.training.monitor import Monitor, RecentLosses
from ctct.training.run import check_folder, open_run, save_result
from ctct.training.schedules import SCHEDULES, ramp_up
from ctct.training.setup import TrainingRun, set_up
from ctct.training.step import take_step, update_average
from ctct.training.validation import validate

log = logging.getLogger(__name__)

#: Steps between two looks at the loss, for which a GPU must be waited for.
LOG_EVERY = 50
#: Steps between two questions to all processes whether to stop, likewise.
STOP_EVERY = 10


def train(
    config: TrainingConfig,
    folder: str | Path,
    *,
    device: str = "auto",
    devices: int = 1,
    resume: bool = False,
    observe: Callable[[int, int], None] = lambda step, steps: None,
) -> dict[str, float]:
    """Train the pair, or continue the run in ``folder``.

    Writes into ``folder``: ``config.json``, ``split.json``, ``model.safetensors`` (the averaged
    weights), ``resume.safetensors``, and what :class:`~ctct.training.monitor.Monitor` writes.

    Args:
        config: of the run.
        folder: of the run.
        device: "cpu", "cuda" or "auto".
        devices: number of processes, each with its share of every batch; under torchrun, they are
            those that it started.
        resume: continue the run in ``folder``.
        observe: called after each step with its number and the number of all steps.

    Returns:
        Mean validation Dice per case of ``cnn``, ``transformer`` and ``ensemble`` of the weights
        that were kept.

    Raises:
        StoppedError: by Ctrl-C or SIGTERM, after saving.
        DivergedError: the loss is not a number.
        OutputError: the disk is full, or another run writes into ``folder``.
    """
    folder = Path(folder)
    check_folder(folder, resume)
    fabric = make_fabric(device, devices, config)
    with open_run(folder, resume, fabric.is_global_zero):
        return fit(set_up(config, folder, fabric, resume), observe)


def fit(run: TrainingRun, observe: Callable[[int, int], None]) -> dict[str, float]:
    """The training loop; returns the validation Dice of the weights that were kept."""
    config, steps = run.config, run.config.optimization.steps
    # One process logs, validates and saves.
    monitor = Monitor(run.folder, run.step) if run.fabric.is_global_zero else None
    recent = RecentLosses(run.fabric.device)
    start_time, start_step, seconds_before = time.monotonic(), run.step, run.seconds

    with catch_interruption() as interrupted:
        while run.step < steps:
            progress = run.step / steps
            set_rates(run.optimizer, config, progress)
            unlabelled_weight = unlabelled_weight_at(config, progress)
            if run.students.heart_crop and progress >= config.unlabelled_slices.warm_up:
                if run.partly_labelled:
                    locate_hearts(run, run.partly_labelled)
                if unlabelled_weight is not None:
                    locate_hearts(run, run.unlabelled)
            losses, batch = take_step(run, unlabelled_weight)
            recent.add(run.step, losses, batch)
            run.step += 1
            # A young average forgets faster, or it would remember the random start.
            decay = min(config.optimization.ema_decay, (1 + run.step) / (10 + run.step))
            update_average(run.averaged, run.students, decay)
            observe(run.step, steps)

            is_last = run.step == steps
            stops = not is_last and stops_here(run, interrupted())
            logs = run.step % LOG_EVERY == 0
            validates = run.step % config.run.validate_every == 0 or is_last
            saves = run.step % config.run.save_every == 0 or validates or stops
            if logs or saves:
                recent.check(*run.slice_sets)
            if logs and monitor:
                rate = (run.step - start_step) / (time.monotonic() - start_time)
                labelled_loss, unlabelled_loss = recent.means()
                monitor.record(
                    run.step,
                    loss_labelled=labelled_loss,
                    loss_unlabelled=unlabelled_loss,
                    unlabelled_weight=unlabelled_weight or 0.0,
                    cnn_rate=run.optimizer.param_groups[0]["lr"],
                    steps_per_s=rate,
                )
                log.info(
                    "step %d/%d: labelled %.3f, pseudo-labels %.3f, %.2f steps/s, %.0f min left",
                    *(run.step, steps, labelled_loss, unlabelled_loss, rate),
                    (steps - run.step) / rate / 60,
                )
            if logs:
                recent.clear()
            if validates and monitor:
                validate_and_keep(run, monitor)
                monitor.picture(run.step, batch, run.averaged, config.unlabelled_slices)
                monitor.curves()
            if saves:
                run.seconds = seconds_before + time.monotonic() - start_time
                if monitor:
                    run.save()
                run.fabric.barrier()
            if stops:
                raise StoppedError(
                    f"stopped at step {run.step} of {steps} and saved; "
                    f"continue with: ctct train --resume -o {run.folder}"
                )
    if monitor:
        monitor.close()
    return run.best


def stops_here(run: TrainingRun, interrupted: bool) -> bool:
    """Whether the run stops after this step, as all its processes do if any was interrupted."""
    if run.fabric.world_size == 1:
        return interrupted
    if run.step % STOP_EVERY:
        return False
    return sum_over_processes(torch.tensor(float(interrupted), device=run.fabric.device)).item() > 0


def validate_and_keep(run: TrainingRun, monitor: Monitor) -> None:
    """Validate the averaged weights, and save them if they are the best so far, or the last."""
    equal_weights = run.config.run.member_weights == "equal"
    weights, dice = validate(run.averaged, run.validation, equal_weights)
    log.info("step %d: %s", run.step, ", ".join(f"{k} {v:.4f}" for k, v in dice.items()))
    monitor.record(run.step, **{f"dice_{name}": value for name, value in dice.items()})
    is_best = dice["ensemble"] >= run.best.get("ensemble", 0.0)
    if is_best or run.config.run.keep == "last":
        run.best = dice
        save_result(run.folder, run.averaged, run.config, run.step, weights, dice, run.origin)


def locate_hearts(run: TrainingRun, slices: SliceSet) -> None:
    """Find the hearts that labels do not show when they are first needed, and now and then."""
    if not slices.to_search:
        return
    if slices.found_hearts is not None and run.step % run.config.run.validate_every:
        return
    with run.fabric.autocast():
        hearts = find_hearts(run.averaged, slices)
    log.info(
        "step %d: found the hearts of %d of %d patients without %s",
        *(run.step, len(hearts), len(slices.to_search)),
        "labels" if slices.labels is None else "complete labels",
    )
    slices.set_hearts(hearts)


def set_rates(optimizer: torch.optim.Optimizer, config: TrainingConfig, progress: float) -> None:
    """Set the learning rates of both networks at ``progress``, 0…1.

    Weights of the method, if it has any, have the rate of the first network.
    """
    factor = SCHEDULES[config.optimization.schedule](progress)
    first, second = config.optimization.cnn_rate, config.optimization.transformer_rate
    for group, rate in zip(optimizer.param_groups, (first, second, first), strict=False):
        group["lr"] = rate * factor


def unlabelled_weight_at(config: TrainingConfig, progress: float) -> float | None:
    """Weight of unlabelled slices at ``progress``, 0…1; None while there are labelled ones only."""
    settings = config.unlabelled_slices
    if settings.method == "labelled_only" or progress < settings.warm_up:
        return None
    since_warm_up = (progress - settings.warm_up) / (settings.ramp - settings.warm_up)
    return settings.unlabelled_weight * ramp_up(since_warm_up)
