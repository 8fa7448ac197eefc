from __future__ import annotations

import torch
from method_support import step_inputs
from training_support import PAIR, config

from ctct.training.methods.entropy_minimization import EntropyMinimization


def test_worked_by_hand() -> None:
    uniform = torch.zeros(4, 4, 8, 8)
    two_classes = uniform.clone()
    two_classes[:, 2:] = -99.0
    step = step_inputs(logits=[uniform, two_classes])
    # ln 4 / ln 4 and ln 2 / ln 4
    loss = EntropyMinimization(PAIR, config().unlabelled_slices)(step)
    torch.testing.assert_close(loss, torch.tensor(1.5))


def test_labelled_slices_do_not_count() -> None:
    logits = torch.randn(4, 4, 8, 8, requires_grad=True)
    step = step_inputs(logits=[logits, logits])
    EntropyMinimization(PAIR, config().unlabelled_slices)(step).backward()
    assert not logits.grad[:2].any()
    assert logits.grad[2:].any()
