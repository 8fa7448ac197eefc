"""Dice of the pair on labelled volumes, and the weight of each network in the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ctct.datasets.collection import Volume
from ctct.evaluation.overlap import dice_by_structure
from ctct.labels import STRUCTURES
from ctct.measurement.heart_box import SEARCH_STEP, crop_scale, heart_box, search_scales
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import HeartCrop
from ctct.training.data.slices import Heart

#: Weights of the CNN alone and of the Transformer alone.
ALONE = {"cnn": (1.0, 0.0), "transformer": (0.0, 1.0)}


@torch.inference_mode()
def validate(
    graph: SegmentationGraph, volumes: Sequence[Volume], equal_weights: bool = False
) -> tuple[tuple[float, float], dict[str, float]]:
    """Mean Dice per case, at native resolution, of each network and of their weighted mean.

    Each network's weight is the inverse square of its error (1 - Dice), scaled to a sum of 1, as
    two measurements are averaged by their inverse variance: equals count alike, and a weak member
    does not spoil the mean. If the mean is still worse than the better network, that network alone
    counts. Sets the weights of ``graph``.

    Args:
        graph: the pair.
        volumes: with manual labels.
        equal_weights: give both networks the weight ½ instead.

    Returns:
        The weights, and the Dice of ``cnn``, ``transformer`` and ``ensemble``.
    """
    members = _predict(graph, volumes)
    alone = {weights: _mean(_dice(graph, members, volumes, weights)) for weights in ALONE.values()}
    cnn, transformer = alone.values()
    squares = (1 - cnn) ** 2 + (1 - transformer) ** 2
    share = (1 - transformer) ** 2 / squares if squares > 0 and not equal_weights else 0.5
    pair = (share, 1 - share)
    candidates = {pair: _mean(_dice(graph, members, volumes, pair))}
    if not equal_weights:
        candidates |= alone
    # max takes the first among equals: the pair
    weights = max(candidates, key=lambda weights: candidates[weights])
    graph.member_weights.copy_(torch.tensor(weights))
    return weights, {"cnn": cnn, "transformer": transformer, "ensemble": candidates[weights]}


@torch.inference_mode()
def score(graph: SegmentationGraph, volumes: Sequence[Volume]) -> dict[str, dict[str, float]]:
    """Mean Dice per case at native resolution, of ``cnn``, ``transformer`` and ``ensemble``.

    Chooses nothing: the ensemble has the weights that ``graph`` has.

    Returns:
        For each of the three, the Dice of each structure.
    """
    members = _predict(graph, volumes)
    first, second = graph.member_weights.tolist()
    return {
        name: _dice(graph, members, volumes, weights)
        for name, weights in (ALONE | {"ensemble": (first, second)}).items()
    }


@dataclass(frozen=True)
class _Prediction:
    """Probabilities (Z, C, S, S) of both networks on a grid, and how slices lie on it."""

    members: tuple[Tensor, Tensor]
    spacing_mm: Tensor
    view: Tensor | None = None


def _predict(graph: SegmentationGraph, volumes: Sequence[Volume]) -> list[_Prediction]:
    """As prediction does it: a pair with a heart crop finds the heart, then takes the crop."""
    device = graph.member_weights.device
    predictions = []
    for volume in volumes:
        spacing_mm = torch.tensor(volume.spacing_mm, device=device).expand(len(volume.voxels), 2)
        slices = torch.from_numpy(volume.voxels)[:, None].float().to(device)
        crop = graph.heart_crop
        view = find_view(graph, crop, slices, spacing_mm) if crop else None
        with graph.on_grid(graph.grid.size if crop is None or view is None else crop.size):
            members = graph.member_probabilities(slices, spacing_mm, view)
        predictions.append(_Prediction(members, spacing_mm, view))
    return predictions


def find_view(
    graph: SegmentationGraph, crop: HeartCrop, slices: Tensor, spacing_mm: Tensor
) -> Tensor | None:
    """Affines (N, 2, 3) from the heart crop's grid to the slices, found in every third slice.

    Returns:
        None where there is no heart, or it does not fit the crop.
    """
    row_mm, column_mm = spacing_mm[0].tolist()
    for search_scale in search_scales(crop.extent_mm):
        labels = graph(slices[::SEARCH_STEP], spacing_mm[::SEARCH_STEP] * search_scale)[0]
        if box := heart_box(labels.cpu().numpy()):
            break
    else:
        return None
    heart = Heart.around([box.edges_mm(labels.shape[1:], (row_mm, column_mm))])
    scale = crop_scale(heart.extent_mm, crop.size * graph.grid.spacing_mm, crop.extent_mm)
    if scale is None:
        return None
    view = torch.eye(2, 3, device=slices.device) / scale
    view[0, 2], view[1, 2] = heart.row_mm, heart.column_mm
    return view.expand(len(slices), 2, 3)


def _dice(
    graph: SegmentationGraph,
    predictions: Sequence[_Prediction],
    volumes: Sequence[Volume],
    weights: tuple[float, float],
) -> dict[str, float]:
    """Mean over the volumes of each structure's Dice, of the weighted mean of both networks."""
    scores = []
    for prediction, volume in zip(predictions, volumes, strict=True):
        assert volume.labels is not None
        size = (volume.labels.shape[1], volume.labels.shape[2])
        first, second = prediction.members
        mean = weights[0] * first + weights[1] * second
        native = graph.resample_to_native(mean, size, prediction.spacing_mm, prediction.view)
        labels = native.argmax(1).cpu().numpy()
        scores.append(dice_by_structure(labels, volume.labels))
    return {s: float(np.mean([dice[s] for dice in scores])) for s in STRUCTURES}


def _mean(dice: dict[str, float]) -> float:
    return float(np.mean(list(dice.values())))
