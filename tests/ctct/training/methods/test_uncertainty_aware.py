from __future__ import annotations

import torch
from method_support import step_inputs
from torch import Tensor, nn
from training_support import PAIR, config

from ctct.training.methods.uncertainty_aware import PASSES, UncertaintyAwareMeanTeacher


class HalfCertain(nn.Module):
    """Certain of class 0 in the left half, undecided between all classes in the right one."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits = torch.zeros(len(x), 4, *x.shape[2:])
        logits[:, 0, :, : x.shape[-1] // 2] = 99.0
        return logits


def test_only_pixels_with_an_entropy_below_ln_2_count() -> None:
    teacher = HalfCertain()
    logits = torch.zeros(4, 4, 8, 8, requires_grad=True)
    step = step_inputs(teachers=(teacher, HalfCertain()), logits=[logits, logits], progress=1.0)
    method = UncertaintyAwareMeanTeacher(PAIR, config().unlabelled_slices)
    loss = method(step)
    loss.backward()
    counts = logits.grad.abs().sum(1) > 0
    assert counts[2:, :, :4].all()
    assert not counts[:2].any()
    assert not counts[2:, :, 4:].any()  # ln 4 > ln 2
    torch.testing.assert_close(loss.detach(), torch.tensor(2 * 0.1875))  # as in mean teacher
    assert teacher.calls == PASSES


def test_the_limit_rises_over_the_run() -> None:
    """Two classes at 0.64 and 0.36 have an entropy of 0.653: below ln 2, above 0.75 ln 2."""

    class Doubtful(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            p = torch.tensor([0.64, 0.36, 1e-9, 1e-9]).log()
            return p[None, :, None, None].expand(len(x), -1, *x.shape[2:])

    method = UncertaintyAwareMeanTeacher(PAIR, config().unlabelled_slices)
    early, late = (
        method(step_inputs(teachers=(Doubtful(), Doubtful()), progress=progress))
        for progress in (0.0, 1.0)
    )
    assert early == 0
    assert late > 0
