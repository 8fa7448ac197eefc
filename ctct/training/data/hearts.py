"""The hearts of patients without complete labels, for batches around them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ctct.measurement.heart_box import SEARCH_STEP, heart_box
from ctct.models.graph import SegmentationGraph
from ctct.training.data.slices import Heart, SliceSet


@torch.inference_mode()
def find_hearts(graph: SegmentationGraph, slices: SliceSet) -> dict[str, Heart]:
    """The hearts of ``slices.to_search`` as the networks see them; without those not found."""
    grid, device = graph.grid, slices.offset.device
    boxes: dict[str, list[npt.NDArray[np.float64]]] = {}
    for volume in slices.volumes:
        if slices.patients[volume[0]] not in slices.to_search:
            continue
        numbers = torch.tensor(volume[::SEARCH_STEP], device=device)
        unmoved = torch.eye(2, 3, device=device).expand(len(numbers), 2, 3)
        images, _ = slices.sample(numbers, grid, unmoved)
        spacing_mm = torch.full((len(numbers), 2), grid.spacing_mm, device=device)
        labels, _ = graph(images, spacing_mm)[:2]
        if box := heart_box(labels.cpu().numpy()):
            edges_mm = box.edges_mm(labels.shape[1:], (grid.spacing_mm, grid.spacing_mm))
            boxes.setdefault(slices.patients[volume[0]], []).append(edges_mm)
    return {patient: Heart.around(boxes_mm) for patient, boxes_mm in boxes.items()}
