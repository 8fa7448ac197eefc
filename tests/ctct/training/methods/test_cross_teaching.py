from __future__ import annotations

import dataclasses

import pytest
import torch
from method_support import step_inputs
from torch import Tensor
from training_support import PAIR, Pixelwise, config, small_batch

from ctct.training.losses import segmentation_loss
from ctct.training.methods.cross_teaching import CrossTeaching, pseudo_labels


def row(*pixels: tuple[float, ...]) -> Tensor:
    """(1, C, 1, W) from a tuple of class values per pixel."""
    return torch.tensor(pixels).T[None, :, None, :]


def method(**settings: object) -> CrossTeaching:
    return CrossTeaching(PAIR, config(**settings).unlabelled_slices)


class TestCrossTeaching:
    def test_as_published_each_network_learns_the_others_argmax(self) -> None:
        step = step_inputs()
        logits = [each[2:] for each in step.logits]
        expected = segmentation_loss(logits[0], logits[1].argmax(1), kind="dice")
        expected = expected + segmentation_loss(logits[1], logits[0].argmax(1), kind="dice")
        loss = method(teacher="student", pseudo_loss="dice")(step)
        torch.testing.assert_close(loss, expected)

    def test_teachers_see_unchanged_slices_and_get_no_gradient(self) -> None:
        teachers = (Pixelwise(0, 1, 2, -1), Pixelwise(1, 0, -1, 2))
        seen: list[Tensor] = []
        teachers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        step = step_inputs(teachers=teachers)
        method()(step).backward()
        assert torch.equal(seen[0], step.batch.plain)
        assert all(teacher.factors.grad is None for teacher in teachers)

    def test_pseudo_labels_move_as_the_slices_do(self) -> None:
        """In a quarter turn the loss is that of the slices as they are."""
        plain = small_batch()
        teachers = (Pixelwise(0, 1, 2, -1), Pixelwise(1, 0, -1, 2))
        # From a position (row, column) of the turned slice to that of the plain one.
        turn = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]).repeat(2, 1, 1)
        turned = dataclasses.replace(
            plain,
            images=torch.cat((plain.images[:2], torch.rot90(plain.images[2:], 1, (-2, -1)))),
            geometry=turn,
        )
        losses = [method()(step_inputs(batch, teachers=teachers)) for batch in (plain, turned)]
        torch.testing.assert_close(losses[0], losses[1])

    def test_without_a_share_of_the_other_each_network_teaches_itself(self) -> None:
        """Students that equal their teachers have nothing to learn but certainty."""
        batch = dataclasses.replace(small_batch(), plain=small_batch().images[2:])
        step = step_inputs(batch)
        loss = method(other_teacher_share=0.0, pseudo_loss="ce")(step)
        expected = sum(-each[2:].log_softmax(1).amax(1).mean() for each in step.logits)
        torch.testing.assert_close(loss, expected)

    def test_with_the_defaults_a_pixel_on_which_the_networks_differ_can_become_a_target(
        self,
    ) -> None:
        settings = config(confidence=0.5).unlabelled_slices
        own, other = row((0.4, 0.6)), row((0.9, 0.1))
        labels, counts = pseudo_labels(
            own, other, settings.other_teacher_share, settings.confidence
        )
        assert own.argmax(1) != labels
        assert counts.all()


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
