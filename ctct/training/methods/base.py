"""The interface of a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ctct.training.config import UnlabelledSettings
from ctct.training.data.batch import TrainingBatch


@dataclass(frozen=True)
class StepInputs:
    """What a method may learn from in one step.

    Attributes:
        batch: the slices, some of them unlabelled.
        logits: (N, C, S, S) of each network, of the mixed slices.
        students: both networks in training.
        teachers: their moving averages, in evaluation mode.
        generator: of random draws.
        progress: of the run, 0…1.
    """

    batch: TrainingBatch
    logits: Sequence[Tensor]
    students: Sequence[nn.Module]
    teachers: Sequence[nn.Module]
    generator: torch.Generator
    progress: float

    @property
    def unlabelled(self) -> slice:
        """The unlabelled slices of the batch."""
        return slice(len(self.batch.labels), None)

    def unlabelled_pixels(self) -> Tensor:
        """(N, S, S) 1 where a mixed slice shows an unlabelled one, else 0."""
        return 1 - self.batch.labelled_pixels()

    def noise_like(self, images: Tensor, deviation: float = 0.1) -> Tensor:
        """Gaussian noise of the shape of ``images``, within ±2 standard deviations."""
        noise = torch.randn(images.shape, generator=self.generator, device=images.device)
        return deviation * noise.clamp(-2, 2)


class Method(nn.Module):
    """A way to learn from unlabelled slices.

    Weights of its own, such as those of a discriminator, are trained with the networks, and saved
    with the run.

    Args:
        students: both networks in training.
        settings: of the unlabelled slices.
    """

    #: Whether it has weights of its own, which are not shared among several processes.
    has_weights: ClassVar[bool] = False

    def __init__(self, students: Sequence[nn.Module], settings: UnlabelledSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, step: StepInputs) -> Tensor:
        """The sum of both networks' losses on the unlabelled slices, a scalar."""
        raise NotImplementedError


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Class probabilities (N, C, S, S) without gradient."""
    logits: Tensor = network(images.contiguous(memory_format=torch.channels_last))
    return logits.float().softmax(1)
