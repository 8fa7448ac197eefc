"""Uncertainty-aware mean teacher: only pixels of which the teacher is certain count.

Source: Yu et al., "Uncertainty-Aware Self-ensembling Model for Semi-supervised 3D Left Atrium
Segmentation", MICCAI 2019.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ctct.training.losses import entropy
from ctct.training.methods.base import StepInputs, predict
from ctct.training.methods.mean_teacher import MeanTeacher
from ctct.training.schedules import ramp_up

#: Views with noise by which the uncertainty is estimated.
PASSES = 8


class UncertaintyAwareMeanTeacher(MeanTeacher):
    """Mean teacher where the entropy of the mean over eight noisy views is low."""

    def teach(self, step: StepInputs, teacher: nn.Module) -> tuple[Tensor, Tensor]:
        plain = step.batch.plain
        views = [predict(teacher, plain + step.noise_like(plain)) for _ in range(PASSES)]
        uncertainty = entropy(torch.stack(views).mean(0))[:, None]  # (U, 1, S, S)
        aligned, weight = step.batch.align_and_mix(torch.cat((views[0], uncertainty), 1))
        # From three quarters of ln 2 up to all of it, as published.
        limit = (0.75 + 0.25 * ramp_up(step.progress)) * math.log(2)
        return aligned[:, :-1], weight * (aligned[:, -1] < limit)
