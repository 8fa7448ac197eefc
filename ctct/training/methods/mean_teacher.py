"""Mean teacher: each network agrees with its own moving average on a noisy view.

Source: Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ctct.training.losses import mean_square
from ctct.training.methods.base import Method, StepInputs, predict


class MeanTeacher(Method):
    """Mean squared difference of the class probabilities of a network and of its teacher."""

    def forward(self, step: StepInputs) -> Tensor:
        loss = torch.zeros((), device=step.batch.images.device)
        for logits, teacher in zip(step.logits, step.teachers, strict=True):
            taught, weight = self.teach(step, teacher)
            loss = loss + mean_square(logits.softmax(1) - taught, weight)
        return loss

    def teach(self, step: StepInputs, teacher: nn.Module) -> tuple[Tensor, Tensor]:
        """Probabilities (N, C, S, S) that a network is to give, and (N, S, S) weights, 0…1."""
        plain = step.batch.plain
        return step.batch.align_and_mix(predict(teacher, plain + step.noise_like(plain)))
