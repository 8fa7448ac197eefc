from __future__ import annotations

import dataclasses

import torch
from method_support import step_inputs
from torch import Tensor, nn
from training_support import PAIR, config, small_batch

from ctct.training.methods.mean_teacher import MeanTeacher

SETTINGS = config().unlabelled_slices


class Constant(nn.Module):
    """The same logits everywhere."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float32)[None, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1, *x.shape[2:])


def test_worked_by_hand() -> None:
    certain, other = Constant(99, 0, 0, 0), Constant(0, 99, 0, 0)
    uniform = Constant(0, 0, 0, 0)
    # (1, 0, 0, 0) and (0, 1, 0, 0): two of four classes differ by 1, a mean square of 1/2.
    # Uniform and certain: (0.75² + 3 · 0.25²) / 4 = 0.1875.
    step = step_inputs(students=(certain, uniform), teachers=(other, certain))
    torch.testing.assert_close(MeanTeacher(PAIR, SETTINGS)(step), torch.tensor(0.5 + 0.1875))


def test_labelled_slices_and_what_a_teacher_does_not_see_do_not_count() -> None:
    batch = small_batch(mixed=True)
    away = batch.geometry.clone()
    away[0, 0, 2] = 100.0  # the first unlabelled slice lies beyond what its teacher sees
    batch = dataclasses.replace(batch, geometry=away)
    logits = torch.zeros(4, 4, 8, 8, requires_grad=True)
    step = step_inputs(batch, teachers=(Constant(0, 99, 0, 0),) * 2, logits=[logits, logits])
    MeanTeacher(PAIR, SETTINGS)(step).backward()
    counts = logits.grad.abs().sum(1) > 0
    # Slice 3 is mixed with slice 1: its right half is its own, its left half is in slice 1.
    expected = torch.zeros(4, 8, 8, dtype=torch.bool)
    expected[3, :, 4:] = expected[1, :, :4] = True
    assert torch.equal(counts, expected)


def test_the_teacher_sees_noise() -> None:
    seen: list[Tensor] = []
    teacher = Constant(1, 0, 0, 0)
    teacher.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    step = step_inputs(teachers=(teacher, teacher))
    MeanTeacher(PAIR, SETTINGS)(step)
    noise = seen[0] - step.batch.plain
    assert 0 < noise.abs().max() <= 0.2 + 1e-6  # two standard deviations of 0.1
    assert not torch.equal(seen[0], seen[1])
