from __future__ import annotations

import torch
from method_support import step_inputs
from torch import Tensor, nn
from training_support import PAIR, Pixelwise, config

from ctct.training.methods.co_training import DeepCoTraining


class Positional(nn.Module):
    """Logits of the position in the image, whatever it shows."""

    def forward(self, x: Tensor) -> Tensor:
        column = torch.linspace(-1, 1, x.shape[-1]).expand(len(x), 1, *x.shape[2:])
        return torch.cat((column, -column, 0 * column, 0 * column), 1)


def loss(*students: nn.Module) -> Tensor:
    return DeepCoTraining(PAIR, config().unlabelled_slices)(step_inputs(students=students))


def test_equal_networks_that_turn_with_the_image_agree() -> None:
    assert loss(Pixelwise(0, 1, 2, -1), Pixelwise(0, 1, 2, -1)) < 1e-9


def test_networks_that_differ_do_not() -> None:
    assert loss(*PAIR) > 1e-3


def test_nor_do_networks_that_do_not_turn_with_the_image() -> None:
    assert loss(Positional(), Positional()) > 1e-3
