"""Cross teaching: each network learns from pseudo-labels, mainly those of the other.

Source: Luo et al., "Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and
Transformer", MIDL 2022, equations 1 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ctct.training.config import CrossTeachingSettings
from ctct.training.data.batch import TrainingBatch
from ctct.training.losses import segmentation_loss


def cross_teaching_loss(
    batch: TrainingBatch,
    student_logits: Sequence[Tensor],
    teachers: Sequence[nn.Module],
    settings: CrossTeachingSettings,
) -> Tensor:
    """The loss of both networks against pseudo-labels, over the pixels of unlabelled slices.

    Args:
        batch: with unlabelled slices.
        student_logits: (N, C, S, S) of each network, of the mixed slices.
        teachers: moving averages of both networks; not used if ``settings.teacher`` is "student".
        settings: of cross teaching.
    """
    unlabelled = slice(len(batch.labels), None)
    if settings.teacher == "student":
        taught = [logits.detach()[unlabelled].softmax(1) for logits in student_logits]
    else:
        with torch.no_grad():
            images = batch.weak[unlabelled].contiguous(memory_format=torch.channels_last)
            taught = [teacher(images).float().softmax(1) for teacher in teachers]
    unlabelled_pixels = 1 - batch.labelled_pixels()
    loss = torch.zeros((), device=batch.weak.device)
    for logits, own, other in zip(student_logits, taught, reversed(taught), strict=True):
        labels, counts = pseudo_labels(
            own, other, settings.other_teacher_share, settings.confidence
        )
        target = batch.mix(torch.cat((batch.labels, labels)))
        weight = batch.mix(torch.cat((torch.ones_like(batch.labels, dtype=counts.dtype), counts)))
        loss = loss + segmentation_loss(
            logits, target, weight * unlabelled_pixels, settings.pseudo_loss
        )
    return loss


@torch.no_grad()
def pseudo_labels(
    own: Tensor, other: Tensor, other_teacher_share: float = 1.0, confidence: float = 0.0
) -> tuple[Tensor, Tensor]:
    """What a network is taught on unlabelled slices: the most probable class, without gradient.

    With ``other_teacher_share`` 1 and no confidence threshold this is cross teaching as published:
    the other network's argmax.

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
