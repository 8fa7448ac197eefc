from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ctct.errors import ConfigError
from ctct.training.losses import dice_loss, merge_unknown, segmentation_loss

SURE = 50.0  # softmax of (50, 0) is 1 within float32


def row(*pixels: tuple[float, ...]) -> Tensor:
    """(1, C, 1, W) from a tuple of class values per pixel."""
    return torch.tensor(pixels).T[None, :, None, :]


def classes(*values: int) -> Tensor:
    return torch.tensor(values)[None, None]


def log(probabilities: Tensor) -> Tensor:
    """Logits whose softmax is ``probabilities``."""
    return probabilities.log()


class TestDiceLoss:
    def test_worked_by_hand(self) -> None:
        probabilities = row((0.8, 0.2), (0.4, 0.6))
        # class 0: 2 · 0.8 / (0.64 + 0.16 + 1) = 1.6 / 1.8 = 0.8889
        # class 1: 2 · 0.6 / (0.04 + 0.36 + 1) = 1.2 / 1.4 = 0.8571
        expected = 1 - (1.6 / 1.8 + 1.2 / 1.4) / 2  # 0.1270
        found = dice_loss(probabilities, classes(0, 1), smooth=0.0)
        assert found.item() == pytest.approx(expected, abs=1e-6)

    def test_classes_are_summed_over_the_batch(self) -> None:
        # The same two pixels, as two slices of one pixel.
        probabilities = row((0.8, 0.2), (0.4, 0.6)).permute(3, 1, 2, 0)
        found = dice_loss(probabilities, torch.tensor([0, 1])[:, None, None], smooth=0.0)
        assert found.item() == pytest.approx(0.1270, abs=1e-4)

    def test_agreement_costs_nothing_even_with_a_class_absent(self) -> None:
        probabilities = row((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
        assert dice_loss(probabilities, classes(0, 1)).item() == pytest.approx(0, abs=1e-5)

    def test_opposites_cost_one(self) -> None:
        probabilities = row((1.0, 0.0), (0.0, 1.0))
        assert dice_loss(probabilities, classes(1, 0)).item() == pytest.approx(1, abs=1e-4)


class TestSegmentationLoss:
    def test_worked_by_hand(self) -> None:
        logits = log(row((0.8, 0.2), (0.4, 0.6)))
        # cross-entropy: -(ln 0.8 + ln 0.6) / 2 = 0.3670; Dice loss as above: 0.1270
        cross_entropy = -(math.log(0.8) + math.log(0.6)) / 2
        expected = (cross_entropy + 1 - (1.6 / 1.8 + 1.2 / 1.4) / 2) / 2  # 0.2470
        assert segmentation_loss(logits, classes(0, 1)).item() == pytest.approx(expected, abs=1e-5)

    def test_certain_and_right_costs_nothing(self) -> None:
        logits = row((SURE, 0.0), (0.0, SURE))
        assert segmentation_loss(logits, classes(0, 1)).item() == pytest.approx(0, abs=1e-5)

    def test_only_pixels_with_weight_count(self) -> None:
        logits = log(row((0.8, 0.2), (0.4, 0.6), (0.1, 0.9)))
        weight = torch.tensor([1.0, 1.0, 0.0])[None, None]
        for kind in ("dice", "ce", "both"):
            found = segmentation_loss(logits, classes(0, 1, 0), weight, kind)
            torch.testing.assert_close(
                found, segmentation_loss(logits[..., :2], classes(0, 1), kind=kind)
            )

    def test_no_weight_at_all_costs_nothing(self) -> None:
        found = segmentation_loss(row((1.0, 0.0)), classes(1), torch.zeros(1, 1, 1))
        assert found.item() == pytest.approx(0, abs=1e-6)

    def test_unknown_kind(self) -> None:
        with pytest.raises(ConfigError, match="choose dice, ce or both"):
            segmentation_loss(row((1.0, 0.0)), classes(1), kind="focal")


class TestMergeUnknown:
    """Classes background, RV and LV; RV is unknown in the first two pixels, and LV is labelled."""

    probabilities = row((0.5, 0.3, 0.2), (0.1, 0.1, 0.8), (0.2, 0.7, 0.1))
    target = classes(0, 2, 1)
    unknown = torch.tensor([[False] * 3, [True, True, False], [False] * 3])[None, :, None]

    def loss(self, kind: str) -> float:
        logits = merge_unknown(log(self.probabilities), self.unknown)
        return segmentation_loss(logits, self.target, kind=kind).item()

    def test_cross_entropy_worked_by_hand(self) -> None:
        # Background or RV has 0.5 + 0.3 in the first pixel.
        expected = -(math.log(0.8) + math.log(0.8) + math.log(0.7)) / 3
        assert self.loss("ce") == pytest.approx(expected, abs=1e-6)

    def test_dice_worked_by_hand(self) -> None:
        # background: 0.8, 0.2, 0.2; RV in the last pixel alone: 0.7; LV: 0.2, 0.8, 0.1
        background = 2 * 0.8 / (0.64 + 0.04 + 0.04 + 1)
        rv = 2 * 0.7 / (0.49 + 1)
        lv = 2 * 0.8 / (0.04 + 0.64 + 0.01 + 1)
        expected = 1 - (background + rv + lv) / 3
        assert self.loss("dice") == pytest.approx(expected, abs=1e-5)

    def test_what_is_unknown_may_be_anything(self) -> None:
        """Moving probability between background and RV changes nothing there, nor the gradient."""
        logits = log(row((0.5, 0.3, 0.2), (0.1, 0.1, 0.8))).requires_grad_()
        moved = log(row((0.1, 0.7, 0.2), (0.2, 0.0001, 0.7999)))
        unknown, target = self.unknown[..., :2], self.target[..., :2]
        loss = segmentation_loss(merge_unknown(logits, unknown), target)
        same = segmentation_loss(merge_unknown(moved, unknown), target)
        assert loss.item() == pytest.approx(same.item(), abs=1e-3)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.isfinite().all()
        # Of the merged class only the sum counts: a pull in proportion to the shares, 5 to 3.
        assert (gradient[0, 0, 0, 0] / gradient[0, 1, 0, 0]).item() == pytest.approx(5 / 3)

    def test_nothing_unknown_changes_nothing(self) -> None:
        logits = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
        assert torch.equal(
            merge_unknown(logits, torch.zeros_like(logits, dtype=torch.bool)), logits
        )
