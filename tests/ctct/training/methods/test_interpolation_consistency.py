from __future__ import annotations

import torch
from method_support import step_inputs
from torch import Tensor, nn
from training_support import PAIR, config

from ctct.training.methods.interpolation_consistency import InterpolationConsistency


class Share(nn.Module):
    """Probability x of class 0 and 1 - x of class 1 for an intensity x of 0…1, as logits."""

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp(1e-6, 1 - 1e-6) ** self.power
        zero = torch.full_like(x, 1e-9)
        return torch.cat((x, 1 - x, zero, zero), 1).log()


def loss(network: nn.Module) -> Tensor:
    """Of two slices, each of one intensity; the sum over five draws of their shares."""
    step = step_inputs(students=(network, network), teachers=(network, network))
    step.batch.images[2], step.batch.images[3] = 0.1, 0.9
    torch.manual_seed(0)
    method = InterpolationConsistency(PAIR, config().unlabelled_slices)
    return sum((method(step) for _ in range(5)), torch.zeros(()))


def test_a_linear_network_has_no_loss() -> None:
    assert loss(Share()) < 1e-9


def test_another_one_has() -> None:
    assert loss(Share(power=4.0)) > 1e-4
