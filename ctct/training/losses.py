"""Losses of segmentation, as pure functions; over all processes where there are several."""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from ctct.errors import ConfigError


def dice_loss(
    probabilities: Tensor, target: Tensor, weight: Tensor | None = None, smooth: float = 1e-5
) -> Tensor:
    """One minus the mean soft Dice over classes, each summed over the whole batch.

    Args:
        probabilities: (N, C, H, W), summing to 1 over C.
        target: (N, H, W) class indices.
        weight: (N, H, W) how much each pixel counts, 0…1; None: all alike.
        smooth: keeps a class that is absent from both at a loss of 0.
    """
    one_hot = F.one_hot(target, probabilities.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    counted = one_hot if weight is None else one_hot * weight[:, None]
    squares = probabilities.square() if weight is None else probabilities.square() * weight[:, None]
    axes = (0, 2, 3)
    overlap, total = sum_over_processes(
        torch.stack(((probabilities * counted).sum(axes), (squares + counted).sum(axes)))
    )
    loss: Tensor = 1 - ((2 * overlap + smooth) / (total + smooth)).mean()
    return loss


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean over all pixels of the batch; 0 where no pixel counts. Shapes as above."""
    return weighted_mean(F.cross_entropy(logits, target, reduction="none"), weight)


def mean_square(difference: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean square of differences (N, C, H, W) over all pixels and classes."""
    return weighted_mean(difference.square().mean(1), weight)


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy (N, H, W) of class probabilities (N, C, H, W), 0…ln C."""
    return -(probabilities * probabilities.clamp_min(1e-6).log()).sum(1)


def weighted_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of (N, H, W) over all pixels of the batch; 0 where no pixel counts."""
    weight = torch.ones_like(values) if weight is None else weight
    total, count = sum_over_processes(torch.stack(((values * weight).sum(), weight.sum())))
    mean: Tensor = total / count.clamp_min(1)
    return mean


def segmentation_loss(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, kind: str = "both"
) -> Tensor:
    """Dice loss, cross-entropy, or the mean of the two.

    Args:
        logits: (N, C, H, W).
        target: (N, H, W) class indices.
        weight: (N, H, W), as in :func:`dice_loss`.
        kind: "dice", "ce" or "both".
    """
    if kind == "dice":
        return dice_loss(logits.softmax(1), target, weight)
    if kind == "ce":
        return cross_entropy(logits, target, weight)
    if kind == "both":
        return 0.5 * (
            cross_entropy(logits, target, weight) + dice_loss(logits.softmax(1), target, weight)
        )
    raise ConfigError(f"unknown loss {kind!r}; choose dice, ce or both")


def merge_unknown(logits: Tensor, unknown: Tensor) -> Tensor:
    """Logits that give the probability of unknown structures to the background.

    Where a structure was not labelled, background means "none of the known structures". The losses
    of these logits are the marginal losses of Shi et al., "Marginal loss and exclusion loss for
    partially supervised multi-organ segmentation", Medical Image Analysis 70, 2021: cross-entropy
    against the merged class, and Dice without the unknown structures. Without any, the logits are
    unchanged.

    Args:
        logits: (N, C, H, W).
        unknown: (N, C, H, W) true where a class is unknown; never the background, class 0.
    """
    impossible = -torch.inf
    in_background = unknown.clone()
    in_background[:, 0] = True
    merged = logits.masked_fill(~in_background, impossible).logsumexp(1, keepdim=True)
    return torch.cat((merged, logits[:, 1:].masked_fill(unknown[:, 1:], impossible)), 1)


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow; ``values`` if there is only one.

    A loss made of these sums equals the joined batch's in every process, and the mean of its
    gradients over the processes, which DDP takes, is the gradient of the joined batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    from torch.distributed.nn import functional

    total: Tensor = functional.all_reduce(values)  # type: ignore[no-untyped-call]
    return total
