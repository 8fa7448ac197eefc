from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ctct.training.cross_teaching import cross_teaching_loss, dice_loss, supervised_loss

SURE = 50.0  # softmax of (50, 0) is 1 within float32


def row(*pixels: tuple[float, ...]) -> Tensor:
    """(1, C, 1, W) from a tuple of class values a pixel."""
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


class TestSupervisedLoss:
    def test_worked_by_hand(self) -> None:
        logits = log(row((0.8, 0.2), (0.4, 0.6)))
        # cross-entropy: -(ln 0.8 + ln 0.6) / 2 = 0.3670; Dice loss as above: 0.1270
        cross_entropy = -(math.log(0.8) + math.log(0.6)) / 2
        expected = (cross_entropy + 1 - (1.6 / 1.8 + 1.2 / 1.4) / 2) / 2  # 0.2470
        assert supervised_loss(logits, classes(0, 1)).item() == pytest.approx(expected, abs=1e-5)

    def test_certain_and_right_costs_nothing(self) -> None:
        logits = row((SURE, 0.0), (0.0, SURE))
        assert supervised_loss(logits, classes(0, 1)).item() == pytest.approx(0, abs=1e-5)


class TestCrossTeachingLoss:
    def test_worked_by_hand(self) -> None:
        cnn = log(row((0.8, 0.2), (0.4, 0.6)))  # pseudo-labels 0, 1
        transformer = log(row((0.7, 0.3), (0.9, 0.1)))  # pseudo-labels 0, 0
        # CNN against 0, 0: class 0: 2 (0.8 + 0.4) / (0.64 + 0.16 + 2) = 2.4 / 2.8
        #                   class 1: 0 / (0.04 + 0.36 + 0) = 0
        of_cnn = 1 - (2.4 / 2.8 + 0) / 2  # 0.5714
        # Transformer against 0, 1: class 0: 2 · 0.7 / (0.49 + 0.81 + 1) = 1.4 / 2.3
        #                           class 1: 2 · 0.1 / (0.09 + 0.01 + 1) = 0.2 / 1.1
        of_transformer = 1 - (1.4 / 2.3 + 0.2 / 1.1) / 2  # 0.6047
        found = cross_teaching_loss(cnn, transformer).item()
        assert found == pytest.approx(of_cnn + of_transformer, abs=1e-4)

    def test_perfect_agreement_costs_nothing(self) -> None:
        logits = row((SURE, 0.0), (0.0, SURE))
        assert cross_teaching_loss(logits, logits).item() == pytest.approx(0, abs=1e-4)

    def test_neither_network_is_special(self) -> None:
        generator = torch.Generator().manual_seed(0)
        cnn, transformer = torch.randn(2, 3, 4, 5, 6, generator=generator)
        torch.testing.assert_close(
            cross_teaching_loss(cnn, transformer), cross_teaching_loss(transformer, cnn)
        )

    def test_no_gradient_through_the_pseudo_labels(self) -> None:
        generator = torch.Generator().manual_seed(0)
        cnn, transformer = torch.randn(2, 2, 4, 5, 6, generator=generator).requires_grad_()
        labels = transformer.detach().argmax(1)
        (found,) = torch.autograd.grad(cross_teaching_loss(cnn, transformer), cnn)
        # What is left is the CNN's gradient against labels that are just numbers.
        (expected,) = torch.autograd.grad(dice_loss(cnn.softmax(1), labels), cnn)
        assert expected.abs().sum() > 0
        torch.testing.assert_close(found, expected)
