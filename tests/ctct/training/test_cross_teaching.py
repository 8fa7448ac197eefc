from __future__ import annotations

import pytest
import torch
from torch import Tensor
from training_support import PAIR, Pixelwise, config, small_batch

from ctct.training.cross_teaching import cross_teaching_loss, pseudo_labels
from ctct.training.losses import segmentation_loss


def row(*pixels: tuple[float, ...]) -> Tensor:
    """(1, C, 1, W) from a tuple of class values per pixel."""
    return torch.tensor(pixels).T[None, :, None, :]


class TestCrossTeachingLoss:
    def test_as_published_each_network_learns_the_others_argmax(self) -> None:
        settings = config(teacher="student", other_teacher_share=1.0, pseudo_loss="dice")
        batch = small_batch()
        logits = [network(batch.strong) for network in PAIR]
        expected = segmentation_loss(logits[0][2:], logits[1][2:].argmax(1), kind="dice")
        expected = expected + segmentation_loss(logits[1][2:], logits[0][2:].argmax(1), kind="dice")
        loss = cross_teaching_loss(batch, logits, PAIR, settings.cross_teaching)
        torch.testing.assert_close(loss, expected)

    def test_teachers_see_the_weak_images_and_get_no_gradient(self) -> None:
        batch, teachers = small_batch(), (Pixelwise(0, 1, 2, -1), Pixelwise(1, 0, -1, 2))
        seen: list[Tensor] = []
        teachers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        logits = [network(batch.strong) for network in PAIR]
        cross_teaching_loss(batch, logits, teachers, config().cross_teaching).backward()
        assert torch.equal(seen[0], batch.weak[2:])
        assert all(teacher.factors.grad is None for teacher in teachers)


class TestPseudoLabels:
    cnn = row((0.8, 0.2), (0.4, 0.6))
    transformer = row((0.7, 0.3), (0.9, 0.1))

    def test_cross_teaching_as_published_is_the_others_argmax(self) -> None:
        labels, counts = pseudo_labels(self.cnn, self.transformer)
        assert labels.tolist() == [[[0, 0]]]
        assert counts.tolist() == [[[1, 1]]]
        assert pseudo_labels(self.transformer, self.cnn)[0].tolist() == [[[0, 1]]]

    def test_mean_of_both_and_confidence(self) -> None:
        # 0.6 · transformer + 0.4 · cnn: (0.74, 0.26) and (0.70, 0.30)
        labels, counts = pseudo_labels(self.cnn, self.transformer, 0.6, confidence=0.72)
        assert labels.tolist() == [[[0, 0]]]
        assert counts.tolist() == [[[1, 0]]]

    def test_no_gradient_reaches_the_teachers(self) -> None:
        cnn = self.cnn.clone().requires_grad_()
        assert not pseudo_labels(cnn, self.transformer, 0.5)[1].requires_grad

    def test_loss_of_cross_teaching_worked_by_hand(self) -> None:
        # The CNN against 0, 0: class 0: 2 (0.8 + 0.4) / (0.64 + 0.16 + 2) = 2.4 / 2.8; class 1: 0
        labels, counts = pseudo_labels(self.cnn, self.transformer)
        found = segmentation_loss(self.cnn.log(), labels, counts, "dice").item()
        assert found == pytest.approx(1 - (2.4 / 2.8 + 0) / 2, abs=1e-4)
