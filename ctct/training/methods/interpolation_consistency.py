"""Interpolation consistency: the prediction of a mean is the mean of the predictions.

Source: Verma et al., "Interpolation Consistency Training for Semi-Supervised Learning", IJCAI 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Beta

from ctct.training.losses import mean_square
from ctct.training.methods.base import Method, StepInputs, predict


class InterpolationConsistency(Method):
    """Mean squared difference between a network on mixed slices and its teacher's mixed results."""

    def forward(self, step: StepInputs) -> Tensor:
        images = step.batch.images[step.unlabelled]
        n, device = len(images), images.device
        shares = Beta(0.2, 0.2).sample((n, 1, 1, 1)).to(device)  # parameters as published
        partner = torch.randperm(n, generator=step.generator, device=device)
        mixed = shares * images + (1 - shares) * images[partner]
        loss = torch.zeros((), device=device)
        for student, teacher in zip(step.students, step.teachers, strict=True):
            taught = predict(teacher, images)
            taught = shares * taught + (1 - shares) * taught[partner]
            loss = loss + mean_square(student(mixed).float().softmax(1) - taught)
        return loss
