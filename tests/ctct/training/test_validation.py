from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ctct.datasets.collection import Volume
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import HeartCrop, NetworkGrid
from ctct.training.validation import score, validate


class Constant(nn.Module):
    """Sure of one class wherever the slice is bright, of the background elsewhere."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        labels = torch.where(x[:, 0] > 0, self.value, 0)
        return 50.0 * nn.functional.one_hot(labels, 4).movedim(-1, 1)


class TestValidate:
    # The volume has an LV (3) and nothing else, and is bright there. A structure in neither label
    # map has a Dice of 1, so the mean over RV, MYO and LV is, of a network that says
    LV, NOTHING, RV = 3, 0, 1  # 1;  2/3, for the LV missed;  1/3, for an RV as well

    @pytest.mark.parametrize(
        ("cnn", "transformer", "scores", "weights"),
        [
            # errors 1/3 and 2/3: the inverse squares are 9 and 9/4, which is 4 to 1
            (NOTHING, RV, (2 / 3, 1 / 3, 2 / 3), (0.8, 0.2)),
            (RV, NOTHING, (1 / 3, 2 / 3, 2 / 3), (0.2, 0.8)),
            (LV, NOTHING, (1, 2 / 3, 1), (1, 0)),  # errors 0 and 1/3
            (NOTHING, NOTHING, (2 / 3, 2 / 3, 2 / 3), (0.5, 0.5)),
            (LV, LV, (1, 1, 1), (0.5, 0.5)),
        ],
    )
    def test_worked_by_hand(
        self,
        cnn: int,
        transformer: int,
        scores: tuple[float, float, float],
        weights: tuple[float, float],
    ) -> None:
        labels = np.zeros((2, 40, 30), np.uint8)
        labels[:, 10:20, 8:20] = self.LV
        volume = Volume("a", "x", np.uint8(100) * (labels > 0), labels, (1, 1))
        graph = SegmentationGraph(
            Constant(cnn), Constant(transformer), NetworkGrid(64, 1.0), (0.9, 0.1)
        )
        found_weights, found = validate(graph, [volume, volume])
        assert list(found) == ["cnn", "transformer", "ensemble"]
        assert tuple(found.values()) == pytest.approx(scores, abs=1e-6)
        assert found_weights == pytest.approx(weights, abs=1e-6)
        assert graph.member_weights.tolist() == pytest.approx(weights, abs=1e-6)

    def test_equal_weights(self) -> None:
        """They stay equal where the U-Net is right and the Transformer wrong."""
        labels = np.zeros((2, 40, 30), np.uint8)
        labels[:, 10:20, 8:20] = self.LV
        volume = Volume("a", "x", np.uint8(100) * (labels > 0), labels, (1, 1))
        networks = Constant(self.LV), Constant(self.NOTHING)
        graph = SegmentationGraph(*networks, NetworkGrid(64, 1.0), (0.9, 0.1))
        weights, found = validate(graph, [volume], equal_weights=True)
        assert weights == (0.5, 0.5)
        assert (found["cnn"], found["transformer"]) == pytest.approx((1, 2 / 3), abs=1e-6)
        assert graph.member_weights.tolist() == [0.5, 0.5]


class BrightIsLeftVentricle(nn.Module):
    """On the whole grid; on a smaller one, what is bright and within the 18 mm in the middle."""

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.zeros(len(x), 4, *x.shape[2:])
        bright = x[:, 0] > 0
        if x.shape[-1] == 32:
            middle = torch.zeros_like(bright)
            middle[:, 7:25, 7:25] = True
            bright &= middle
        logits[:, 3] = 50.0 * bright
        logits[:, 0] = 50.0 * ~bright
        return logits


@pytest.mark.parametrize(
    ("side", "extent_mm", "dice"),
    [
        (36, 18.0, 1.0),  # scaled to the 18 mm that the network sees
        (20, 0.0, 2 * 18**2 / (18**2 + 20**2)),  # as large as it is, so cut off all around
        (36, 0.0, 1.0),  # too large for the crop: on the whole grid
    ],
)
def test_a_pair_with_a_heart_crop_is_validated_on_it(
    side: int, extent_mm: float, dice: float
) -> None:
    labels = np.zeros((4, 100, 100), np.uint8)
    labels[:, 10 : 10 + side, 50 : 50 + side] = 3
    volume = Volume("a", "x", np.uint8(100) * (labels > 0), labels, (1, 1))
    networks = BrightIsLeftVentricle(), BrightIsLeftVentricle()
    crop = HeartCrop(32, extent_mm)
    graph = SegmentationGraph(*networks, NetworkGrid(96, 1.0), heart_crop=crop)
    assert score(graph, [volume])["ensemble"]["LV"] == pytest.approx(dice, abs=0.03)
