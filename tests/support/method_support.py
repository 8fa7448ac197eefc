"""Inputs of a method of learning from unlabelled slices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from training_support import PAIR, small_batch

from ctct.training.data.batch import TrainingBatch
from ctct.training.methods.base import StepInputs


def step_inputs(
    batch: TrainingBatch | None = None,
    students: Sequence[nn.Module] = PAIR,
    teachers: Sequence[nn.Module] = PAIR,
    logits: Sequence[Tensor] | None = None,
    progress: float = 0.5,
) -> StepInputs:
    """The step of a batch of two labelled and two unlabelled slices."""
    batch = batch or small_batch()
    images = batch.mix(batch.images)
    logits = logits or [student(images) for student in students]
    generator = torch.Generator().manual_seed(0)
    return StepInputs(batch, logits, students, teachers, generator, progress)


def certain(*labels: Tensor, value: float = 12.0) -> list[Tensor]:
    """Logits (N, 4, H, W) of one class per pixel of each (N, H, W) labels."""
    return [value * nn.functional.one_hot(each, 4).movedim(-1, 1).float() for each in labels]
