"""Deep co-training: the networks agree on different views.

Source: Peng et al., "Deep co-training for semi-supervised image segmentation", Pattern Recognition
107, 2020; the views are quarter turns, as in the comparison of Luo et al., MIDL 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ctct.training.losses import mean_square
from ctct.training.methods.base import Method, StepInputs


class DeepCoTraining(Method):
    """Mean squared difference between a network and the other on the slices in a quarter turn."""

    def forward(self, step: StepInputs) -> Tensor:
        images = step.batch.images[step.unlabelled]
        turns = int(torch.randint(1, 4, (), generator=step.generator, device=images.device))
        cnn, transformer = (self._both_views(student, images, turns) for student in step.students)
        return mean_square(cnn[0] - transformer[1]) + mean_square(transformer[0] - cnn[1])

    @staticmethod
    def _both_views(student: torch.nn.Module, images: Tensor, turns: int) -> tuple[Tensor, Tensor]:
        """Probabilities (U, C, S, S) of the slices as they are, and turned and turned back."""
        turned = torch.rot90(images, turns, (-2, -1))
        logits: Tensor = student(torch.cat((images, turned))).float()
        as_they_are, of_turned = logits.softmax(1).chunk(2)
        return as_they_are, torch.rot90(of_turned, -turns, (-2, -1))
