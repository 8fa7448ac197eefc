"""Dice of the pair on the validation patients, and the weight of each network in the mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ctct.datasets.collection import Volume
from ctct.evaluation.overlap import dice_by_structure
from ctct.models.graph import SegmentationGraph


@torch.inference_mode()
def validate(
    graph: SegmentationGraph, volumes: Sequence[Volume]
) -> tuple[tuple[float, float], dict[str, float]]:
    """Mean Dice per case, at native resolution, of each network and of their weighted mean.

    Each network's weight is the inverse square of its error (1 - Dice), scaled to a sum of 1, as
    two measurements are averaged by their inverse variance: equals count alike, and a weak member
    does not spoil the mean. If the mean is still worse than the better network, that network alone
    counts. Sets the weights of ``graph``.

    Returns:
        The weights, and the Dice of ``cnn``, ``transformer`` and ``ensemble``.
    """
    device = graph.member_weights.device
    spacings = [torch.tensor(v.spacing_mm, device=device).expand(len(v.voxels), 2) for v in volumes]
    members = [
        graph.member_probabilities(torch.from_numpy(v.voxels)[:, None].float().to(device), spacing)
        for v, spacing in zip(volumes, spacings, strict=True)
    ]  # a pair of (Z, C, S, S) for every volume

    def mean_dice(weights: tuple[float, float]) -> float:
        return float(
            np.mean(
                [
                    _mean_dice(graph, weights[0] * cnn + weights[1] * transformer, volume, spacing)
                    for (cnn, transformer), volume, spacing in zip(
                        members, volumes, spacings, strict=True
                    )
                ]
            )
        )

    alone = {(1.0, 0.0): mean_dice((1, 0)), (0.0, 1.0): mean_dice((0, 1))}
    cnn, transformer = alone.values()
    squares = (1 - cnn) ** 2 + (1 - transformer) ** 2
    share = (1 - transformer) ** 2 / squares if squares > 0 else 0.5
    together = {(share, 1 - share): mean_dice((share, 1 - share))}
    candidates = together | alone  # max takes the first among equals: the pair
    weights = max(candidates, key=lambda weights: candidates[weights])
    graph.member_weights.copy_(torch.tensor(weights))
    return weights, {"cnn": cnn, "transformer": transformer, "ensemble": candidates[weights]}


def _mean_dice(
    graph: SegmentationGraph, probabilities: Tensor, volume: Volume, spacing_mm: Tensor
) -> float:
    """Mean Dice over structures of one volume, from probabilities (Z, C, S, S) on the grid."""
    assert volume.labels is not None
    size = (volume.labels.shape[1], volume.labels.shape[2])
    labels = graph.resample_to_native(probabilities, size, spacing_mm).argmax(1).cpu().numpy()
    return float(np.mean(list(dice_by_structure(labels, volume.labels).values())))
