from __future__ import annotations

import dataclasses
import math

import torch
from method_support import step_inputs
from training_support import PAIR, config, small_batch

from ctct.training.methods.base import StepInputs
from ctct.training.methods.deep_adversarial import DeepAdversarial, Discriminator


def wide_step(logits: torch.Tensor | None = None) -> StepInputs:
    """Slices of 32 × 32 pixels, which a discriminator halves four times."""
    batch = small_batch()
    batch = dataclasses.replace(
        batch, images=batch.images.tile(4, 4), rectangle=batch.rectangle.tile(4, 4)
    )
    logits = torch.zeros(4, 4, 32, 32) if logits is None else logits
    return step_inputs(batch, logits=[logits, logits])


def test_a_discriminator_that_knows_nothing() -> None:
    """Each of the four losses is that of a probability of one half, ln 2."""
    method = DeepAdversarial(PAIR, config().unlabelled_slices)
    for parameter in method.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(method(wide_step()), torch.tensor(4 * math.log(2)))


def test_networks_and_discriminators_learn_apart() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 4, 32, 32, requires_grad=True)
    method = DeepAdversarial(PAIR, config().unlabelled_slices)
    method(wide_step(logits)).backward()
    assert not logits.grad[:2].any()  # labelled slices already pass
    assert logits.grad[2:].any()
    assert all(p.grad is not None and p.grad.any() for p in method.parameters())


def test_the_discriminator_learns_to_tell_them_apart() -> None:
    torch.manual_seed(0)
    method = DeepAdversarial(PAIR, config().unlabelled_slices)
    logits = torch.zeros(4, 4, 32, 32)
    logits[2:, 1] = 4.0
    optimizer = torch.optim.Adam(method.parameters(), 1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        method(wide_step(logits)).backward()
        optimizer.step()
    step = wide_step(logits)
    shown = torch.cat((logits.softmax(1), step.batch.images), 1)
    judged = method.discriminators[0](shown)
    assert judged[:2].min() > judged[2:].max()


def test_a_discriminator_gives_one_logit_per_slice() -> None:
    assert Discriminator()(torch.zeros(3, 5, 64, 32)).shape == (3,)
