"""The losses and the pseudo-labels, as pure functions of logits, probabilities and labels.

Source: Luo et al., "Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and
Transformer", MIDL 2022, equations 1 to 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from ctct.errors import ConfigError

LOSSES = ("dice", "ce", "both")


def dice_loss(
    probabilities: Tensor, target: Tensor, weight: Tensor | None = None, smooth: float = 1e-5
) -> Tensor:
    """One minus the mean soft Dice over classes, each summed over the whole batch.

    Args:
        probabilities: (N, C, H, W), summing to 1 over C.
        target: (N, H, W) class indices.
        weight: (N, H, W) how much each pixel counts, 0…1; all alike when left out.
        smooth: keeps a class that is absent from both at a loss of 0.
    """
    one_hot = F.one_hot(target, probabilities.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    counted = one_hot if weight is None else one_hot * weight[:, None]
    squares = probabilities.square() if weight is None else probabilities.square() * weight[:, None]
    over = (0, 2, 3)
    overlap, total = sum_over_processes(
        torch.stack(((probabilities * counted).sum(over), (squares + counted).sum(over)))
    )
    loss: Tensor = 1 - ((2 * overlap + smooth) / (total + smooth)).mean()
    return loss


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean over all pixels of the batch; 0 where no pixel counts. Shapes as above."""
    each = F.cross_entropy(logits, target, reduction="none")
    weight = torch.ones_like(each) if weight is None else weight
    error, count = sum_over_processes(torch.stack(((each * weight).sum(), weight.sum())))
    mean: Tensor = error / count.clamp_min(1)
    return mean


def segmentation_loss(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, kind: str = "both"
) -> Tensor:
    """Dice loss, cross-entropy, or the mean of the two.

    Args:
        logits: (N, C, H, W).
        target: (N, H, W) class indices.
        weight: (N, H, W), as in :func:`dice_loss`.
        kind: one of :data:`LOSSES`.
    """
    if kind == "dice":
        return dice_loss(logits.softmax(1), target, weight)
    if kind == "ce":
        return cross_entropy(logits, target, weight)
    if kind == "both":
        return 0.5 * (
            cross_entropy(logits, target, weight) + dice_loss(logits.softmax(1), target, weight)
        )
    raise ConfigError(f"unknown loss {kind!r}; choose one of {', '.join(LOSSES)}")


@torch.no_grad()
def pseudo_labels(
    own: Tensor, other: Tensor, other_teacher_share: float = 1.0, confidence: float = 0.0
) -> tuple[Tensor, Tensor]:
    """What a network is taught on unlabelled slices: the most probable class, no gradient.

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


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow; ``values`` where there is one.

    A loss made of such sums is that of the joined batch in every process, and the mean of its
    gradients over the processes, which DDP takes, is the joined batch's gradient.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    from torch.distributed.nn import functional

    total: Tensor = functional.all_reduce(values)  # type: ignore[no-untyped-call]
    return total
