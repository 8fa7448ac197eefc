"""The losses, as pure functions of logits and labels.

Source: Luo et al., "Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and
Transformer", MIDL 2022, equations 1 to 4.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def dice_loss(probabilities: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """One minus the mean soft Dice over classes, each summed over the whole batch.

    Args:
        probabilities: (N, C, H, W), summing to 1 over C.
        target: (N, H, W) class indices.
        smooth: keeps a class that is absent from both at a loss of 0.
    """
    one_hot = F.one_hot(target, probabilities.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    over = (0, 2, 3)
    overlap = (probabilities * one_hot).sum(over)
    total = probabilities.square().sum(over) + one_hot.sum(over)
    return 1 - ((2 * overlap + smooth) / (total + smooth)).mean()


def supervised_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of cross-entropy and Dice loss against manual labels.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W) class indices.
    """
    return 0.5 * (F.cross_entropy(logits, labels) + dice_loss(logits.softmax(1), labels))


def cross_teaching_loss(cnn_logits: Tensor, transformer_logits: Tensor) -> Tensor:
    """Each network's Dice loss against the *other's* hard pseudo-labels.

    The pseudo-labels are detached: no gradient reaches the teacher of the moment.

    Args:
        cnn_logits: (N, C, H, W).
        transformer_logits: (N, C, H, W), of the same slices.
    """
    cnn_labels = cnn_logits.detach().argmax(1)
    transformer_labels = transformer_logits.detach().argmax(1)
    return dice_loss(cnn_logits.softmax(1), transformer_labels) + dice_loss(
        transformer_logits.softmax(1), cnn_labels
    )
