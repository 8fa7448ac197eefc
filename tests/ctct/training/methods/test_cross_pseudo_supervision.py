from __future__ import annotations

import torch
from method_support import step_inputs
from torch.nn import functional as F
from training_support import PAIR, config

from ctct.training.methods.cross_pseudo_supervision import CrossPseudoSupervision


def test_each_network_learns_the_others_argmax_by_cross_entropy() -> None:
    step = step_inputs()
    first, second = (logits[2:] for logits in step.logits)
    expected = F.cross_entropy(first, second.argmax(1)) + F.cross_entropy(second, first.argmax(1))
    loss = CrossPseudoSupervision(PAIR, config().unlabelled_slices)(step)
    torch.testing.assert_close(loss, expected)


def test_two_of_a_kind_that_agree_and_are_certain_have_no_loss() -> None:
    logits = torch.zeros(4, 4, 8, 8)
    logits[:, 2] = 99.0
    step = step_inputs(logits=[logits, logits])
    assert CrossPseudoSupervision(PAIR, config().unlabelled_slices)(step) < 1e-6
