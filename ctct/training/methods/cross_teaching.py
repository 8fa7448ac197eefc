"""Cross teaching: each network learns from the other's pseudo-labels.

Source: Luo et al., "Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and
Transformer", MIDL 2022, equations 1 to 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ctct.training.losses import segmentation_loss
from ctct.training.methods.base import Method, StepInputs, predict


class CrossTeaching(Method):
    """The loss of each network against pseudo-labels of the other.

    As published, they are the argmax of the other network of the moment. With
    ``settings.teacher`` "ema", they are made by the moving averages, on the slices without any
    change, and moved as the slices are.
    """

    def forward(self, step: StepInputs) -> Tensor:
        settings = self.settings
        if settings.teacher == "student":
            taught = [logits.detach().softmax(1) for logits in step.logits]
            weight = step.unlabelled_pixels()
        else:
            plain = step.batch.plain
            both = torch.cat([predict(teacher, plain) for teacher in step.teachers], 1)
            aligned, weight = step.batch.align_and_mix(both)
            taught = list(aligned.chunk(2, 1))
        loss = torch.zeros((), device=weight.device)
        for logits, own, other in zip(step.logits, taught, reversed(taught), strict=True):
            labels, counts = pseudo_labels(
                own, other, settings.other_teacher_share, settings.confidence
            )
            loss = loss + segmentation_loss(logits, labels, counts * weight, settings.pseudo_loss)
        return loss


@torch.no_grad()
def pseudo_labels(
    own: Tensor, other: Tensor, other_teacher_share: float = 1.0, confidence: float = 0.0
) -> tuple[Tensor, Tensor]:
    """What a network is taught on unlabelled slices: the most probable class, without gradient.

    With ``other_teacher_share`` 1 and no confidence threshold this is cross teaching as published:
    the other network's argmax. With 0 it is self-teaching.

    Args:
        own: (N, C, H, W) class probabilities of the network's own teacher.
        other: the same of the other network's teacher.
        other_teacher_share: share of ``other`` in the mean of the two.
        confidence: pixels whose most probable class is less probable than this do not count.

    Returns:
        (N, H, W) class indices, and (N, H, W) weights, 1 where the pixel counts, else 0.
    """
    highest, labels = (other_teacher_share * other + (1 - other_teacher_share) * own).max(1)
    return labels, (highest >= confidence).to(own.dtype)
