"""One step of the optimizer: a batch, its loss, the gradient and the new weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.training.config import BatchSettings
from ctct.training.data.batch import TrainingBatch, draw_batch, shard
from ctct.training.losses import merge_unknown, segmentation_loss
from ctct.training.methods.base import Method, StepInputs
from ctct.training.setup import TrainingRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepLosses:
    """Losses of one batch, each a scalar on the device.

    Attributes:
        total: the sum that is minimized.
        labelled: mean of the two networks against manual labels.
        unlabelled: mean of the two networks of what they learn from unlabelled slices.
    """

    total: Tensor
    labelled: Tensor
    unlabelled: Tensor


def batch_losses(
    batch: TrainingBatch,
    students: Sequence[nn.Module],
    teachers: Sequence[nn.Module],
    method: Method,
    unlabelled_weight: float,
    generator: torch.Generator,
    progress: float = 0.0,
) -> StepLosses:
    """Losses of both networks on one batch.

    Args:
        batch: the slices.
        students: the two networks in training.
        teachers: their moving averages, in evaluation mode.
        method: of learning from unlabelled slices.
        unlabelled_weight: weight of an unlabelled slice relative to a labelled one.
        generator: of random draws.
        progress: of the run, 0…1.
    """
    images = batch.mix(batch.images).contiguous(memory_format=torch.channels_last)
    logits = [student(images).float() for student in students]

    labelled_pixels = batch.labelled_pixels()
    n, labelled_count = len(images), len(batch.labels)
    labels = torch.zeros_like(labelled_pixels, dtype=batch.labels.dtype)
    labels[:labelled_count] = batch.labels
    labels = batch.mix(labels)
    labelled = unlabelled = torch.zeros((), device=images.device)
    unknown = batch.unknown_pixels()
    for student_logits in logits:
        if unknown is not None:
            student_logits = merge_unknown(student_logits, unknown)
        labelled = labelled + segmentation_loss(student_logits, labels, labelled_pixels)
    if labelled_count < n:
        inputs = StepInputs(batch, logits, students, teachers, generator, progress)
        unlabelled = method(inputs)
    # Each loss is a mean over its slices, so one unlabelled slice among eight would weigh as much
    # as seven labelled ones.
    ratio = (n - labelled_count) / labelled_count
    total = labelled + unlabelled_weight * ratio * unlabelled
    return StepLosses(total, labelled.detach() / 2, unlabelled.detach() / 2)


def take_step(
    run: TrainingRun, unlabelled_weight: float | None
) -> tuple[StepLosses, TrainingBatch]:
    """Change the weights by one batch; with a weight of None, of labelled slices alone.

    Where the GPU's memory is short, this and all later batches go in micro-batches, whose gradients
    add up.

    Returns:
        Losses and slices of the batch, or of the last of its micro-batches.

    Raises:
        ConfigError: the memory does not suffice for a batch of two.
    """
    run.students.train()
    while True:
        try:
            run.optimizer.zero_grad(set_to_none=True)
            for _ in range(run.micro_batches):
                losses, batch = _backward(run, unlabelled_weight)
            break
        except torch.OutOfMemoryError:
            run.micro_batches *= 2
            micro_batch(run.config.batches, run.micro_batches)  # raises if that is too small
            log.warning("out of memory: each batch now goes in %d pieces", run.micro_batches)
            torch.cuda.empty_cache()
    if run.config.optimization.clip:
        nn.utils.clip_grad_norm_(run.students.parameters(), run.config.optimization.clip)
    run.optimizer.step()
    return losses, batch


def _backward(
    run: TrainingRun, unlabelled_weight: float | None
) -> tuple[StepLosses, TrainingBatch]:
    """Draw a (micro-)batch and add its gradient."""
    batch = draw_batch(
        run.labelled,
        None if unlabelled_weight is None else run.unlabelled,
        micro_batch(run.config.batches, run.micro_batches),
        run.students.grid,
        run.generator,
        run.students.heart_crop,
        run.partly_labelled,
    )
    batch = shard(batch, run.fabric.global_rank, run.fabric.world_size)
    teachers = (run.averaged.cnn, run.averaged.transformer)
    size = batch.images.shape[-1]
    with run.students.on_grid(size), run.averaged.on_grid(size):
        with run.fabric.autocast():
            losses = batch_losses(
                *(batch, run.networks, teachers, run.method, unlabelled_weight or 0.0),
                *(run.generator, run.step / run.config.optimization.steps),
            )
        run.fabric.backward(losses.total / run.micro_batches)
    return losses, batch


def micro_batch(settings: BatchSettings, count: int) -> BatchSettings:
    """``settings`` of one of ``count`` equal parts of a batch.

    Raises:
        ConfigError: a part would have less than two slices, or none with labels.
    """
    if count == 1:
        return settings
    batch, labelled = settings.batch // count, settings.labelled_batch_size // count
    if batch < 2 or labelled < 1:
        raise ConfigError(
            "out of memory even with a batch of two; choose a smaller grid or network"
        )
    return settings.model_copy(update={"batch": batch, "labelled_batch": labelled})


@torch.no_grad()
def update_average(averaged: nn.Module, current: nn.Module, decay: float) -> None:
    """Move every floating-point tensor of ``averaged`` towards ``current``; copy the others."""
    targets, sources = averaged.state_dict(), current.state_dict()
    floats = [name for name, tensor in targets.items() if tensor.is_floating_point()]
    torch._foreach_lerp_(
        [targets[name] for name in floats], [sources[name] for name in floats], 1 - decay
    )
    for name in targets.keys() - set(floats):
        targets[name].copy_(sources[name])
