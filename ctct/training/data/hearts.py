"""Where the hearts of patients without labels are, for batches around them."""

from __future__ import annotations

import numpy as np
import torch

from ctct.models.graph import SegmentationGraph
from ctct.training.data.slices import SliceSet

#: Smallest area of a heart in a middle slice; where less is found, it is something else.
SMALLEST_CM2 = 3.0


@torch.inference_mode()
def find_hearts(graph: SegmentationGraph, slices: SliceSet) -> dict[str, tuple[float, float]]:
    """The center of each patient's heart in mm, as of ``slices.hearts_mm``, found by the networks.

    The centroid of the probabilities of all structures in the middle slice of each volume. Patients
    in whom no heart is found are left out.
    """
    grid, device = graph.grid, slices.offset.device
    unmoved = torch.eye(2, 3, device=device)
    position = (torch.arange(grid.size, device=device) - (grid.size - 1) / 2) * grid.spacing_mm
    found: dict[str, list[list[float]]] = {}  # area, and area times row and column
    for number in slices.middle:
        image, _ = slices.sample(torch.tensor([number], device=device), grid, unmoved[None])
        spacing_mm = torch.full((1, 2), grid.spacing_mm, device=device)
        members = graph.member_probabilities(image, spacing_mm)
        probability = sum(
            weight * (1 - member[0, 0].float())
            for weight, member in zip(graph.member_weights, members, strict=True)
        )
        assert isinstance(probability, torch.Tensor)
        area = probability.sum()
        row = (probability.sum(1) * position).sum()
        column = (probability.sum(0) * position).sum()
        sums = torch.stack((area, row, column)).tolist()
        found.setdefault(slices.patients[number], []).append(sums)
    hearts = {}
    for patient, volumes in found.items():
        area, row, column = np.sum(volumes, 0)
        if area * grid.spacing_mm**2 / 100 >= SMALLEST_CM2 * len(volumes):
            hearts[patient] = (float(row / area), float(column / area))
    return hearts
