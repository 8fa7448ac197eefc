from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ctct.datasets.collection import Volume
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import NetworkGrid
from ctct.training.data.hearts import find_hearts
from ctct.training.data.slices import SliceSet


class BrightIsLeftVentricle(nn.Module):
    """A network that takes whatever is well above the mean for the left ventricle."""

    def forward(self, x: Tensor) -> Tensor:
        heart = 40 * (x - 1)
        return torch.cat((-heart, heart - 40, heart - 40, heart), 1)


def test_hearts_that_the_networks_find() -> None:
    """Squares of 20 × 20 mm on 64 × 64 pixels of 2 mm, whose middle is between pixels 31 and 32."""

    def frame(patient: str, row: int | None, column: int = 0) -> Volume:
        voxels = np.zeros((5, 64, 64), np.uint8)
        if row is not None:
            voxels[3, row : row + 10, column : column + 10] = 200
            voxels[4, 50:60, 50:60] = 200  # not among every third slice, 0 and 3
        return Volume(patient, f"{patient}_{row}_{column}", voxels, None, (2, 2))

    # a: rows 27 to 36 in both frames, so at the middle; columns 37 to 46, from 10 to 30 mm, and 32
    # to 41, from 0 to 20 mm: 30 mm in all. b: nothing bright.
    slices = SliceSet([frame("a", 27, 37), frame("a", 27, 32), frame("b", None)])
    networks = BrightIsLeftVentricle(), BrightIsLeftVentricle()
    graph = SegmentationGraph(*networks, NetworkGrid(96, 1.5))
    hearts = find_hearts(graph, slices)
    assert hearts.keys() == {"a"}
    assert hearts["a"] == pytest.approx((0.0, 15.0, 30.0), abs=1.5)
    slices.set_hearts(hearts)
    assert slices.center_mm[9].tolist() == pytest.approx(hearts["a"][:2])
    assert slices.center_mm[10].tolist() == [0.0, 0.0]


def test_only_hearts_that_labels_do_not_show_are_searched_for() -> None:
    """Two patients with the same bright square of 40 × 40 mm, a with the labels of its half."""
    voxels = np.zeros((1, 64, 64), np.uint8)
    voxels[:, 27:47, 22:42] = 200
    half = np.uint8(3) * (voxels > 0)
    half[:, :, 32:] = 0
    a = Volume("a", "a", voxels, half, (2, 2), ("LV",))
    slices = SliceSet([a, Volume("b", "b", voxels, half, (2, 2))])
    assert slices.center_mm.tolist() == [[10.0, -10.0]] * 2
    networks = BrightIsLeftVentricle(), BrightIsLeftVentricle()
    hearts = find_hearts(SegmentationGraph(*networks, NetworkGrid(96, 1.5)), slices)
    assert hearts.keys() == {"a"}
    assert hearts["a"] == pytest.approx((10.0, 0.0, 40.0), abs=2.5)
    slices.set_hearts(hearts)
    assert slices.center_mm[1].tolist() == [10.0, -10.0]
