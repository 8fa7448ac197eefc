"""Stand-ins for the networks of a training step, and a small batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ctct.training.config import TrainingConfig
from ctct.training.data.batch import TrainingBatch


def small_batch(mixed: bool = False) -> TrainingBatch:
    """Two labelled and two unlabelled slices of 8 × 8; if ``mixed``, half of each its partner's."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 1, 8, 8, generator=generator)
    rectangle = torch.zeros(4, 8, 8, dtype=torch.bool)
    rectangle[:, :, :4] = mixed
    labels = torch.randint(4, (2, 8, 8), generator=generator)
    unmoved = torch.eye(2, 3).repeat(2, 1, 1)
    partner = torch.tensor([2, 3, 0, 1])
    return TrainingBatch(images, labels, partner, rectangle, images[2:] - 0.1, unmoved)


class Pixelwise(nn.Module):
    """Logits that are a multiple of the intensity, another for each class."""

    def __init__(self, *factors: float) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor(factors, dtype=torch.float32)[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors


PAIR = (Pixelwise(0, 1, 2, -1), Pixelwise(1, 0, -1, 2))


def config(**changes: object) -> TrainingConfig:
    """Settings for that batch; every pseudo-label counts."""
    return TrainingConfig(data=".", **{"batch": 4, "confidence": 0.0, **changes})
