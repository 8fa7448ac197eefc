from __future__ import annotations

import pytest
import torch
from torch import nn
from training_support import PAIR, config, small_batch

from ctct.errors import ConfigError
from ctct.training.data.batch import TrainingBatch
from ctct.training.losses import segmentation_loss
from ctct.training.step import batch_losses, micro_batch, update_average


class TestBatchLosses:
    def test_cross_teaching_as_published(self) -> None:
        settings = config(teacher="student", other_teacher_share=1.0, pseudo_loss="dice")
        batch = small_batch()
        losses = batch_losses(batch, PAIR, PAIR, settings.cross_teaching, 0.1)
        logits = [network(batch.strong) for network in PAIR]
        labelled = sum(segmentation_loss(each[:2], batch.labels) for each in logits)
        unlabelled = segmentation_loss(logits[0][2:], logits[1][2:].argmax(1), kind="dice")
        unlabelled = unlabelled + segmentation_loss(
            logits[1][2:], logits[0][2:].argmax(1), kind="dice"
        )
        torch.testing.assert_close(losses.total, labelled + 0.1 * unlabelled)
        torch.testing.assert_close(losses.labelled, labelled.detach() / 2)
        torch.testing.assert_close(losses.unlabelled, unlabelled.detach() / 2)

    def test_an_unlabelled_slice_weighs_the_same_whatever_their_number(self) -> None:
        """Three labelled and one unlabelled: the mean over the latter counts a third."""
        two = small_batch()
        three = TrainingBatch(
            two.weak,
            two.strong,
            torch.cat((two.labels, two.labels[:1])),
            two.partner,
            two.rectangle,
        )
        settings = config(teacher="student", other_teacher_share=1.0, pseudo_loss="dice")
        losses = batch_losses(three, PAIR, PAIR, settings.cross_teaching, 0.6)
        expected = 2 * losses.labelled + 0.6 / 3 * 2 * losses.unlabelled
        torch.testing.assert_close(losses.total.detach(), expected)

    def test_a_rectangle_takes_image_and_labels_along(self) -> None:
        # With every slice half its partner's, mixing only changes the order of the halves.
        settings = config().cross_teaching
        plain = batch_losses(small_batch(), PAIR, PAIR, settings, 1.0)
        mixed = batch_losses(small_batch(mixed=True), PAIR, PAIR, settings, 1.0)
        torch.testing.assert_close(mixed, plain)  # pixelwise networks, sums over the batch

    def test_labelled_slices_alone(self) -> None:
        batch = small_batch()
        alone = TrainingBatch(
            batch.weak[:2], batch.strong[:2], batch.labels, torch.arange(2), batch.rectangle[:2]
        )
        losses = batch_losses(alone, PAIR, PAIR, config().cross_teaching, 1.0)
        expected = sum(segmentation_loss(network(alone.strong), alone.labels) for network in PAIR)
        torch.testing.assert_close(losses.total, expected)
        assert losses.unlabelled == 0

    def test_another_method_is_another_function(self) -> None:
        losses = batch_losses(
            small_batch(),
            PAIR,
            PAIR,
            config().cross_teaching,
            3.0,
            lambda batch, logits, teachers, settings: torch.tensor(0.5),
        )
        # Two unlabelled slices beside two labelled ones: a ratio of 1.
        torch.testing.assert_close(losses.total.detach(), 2 * losses.labelled + 3.0 * 0.5)


class TestMicroBatch:
    def test_worked_by_hand(self) -> None:
        half = micro_batch(config(batch=8).batches, 2)
        assert (half.batch, half.labelled_batch_size) == (4, 2)
        assert micro_batch(half, 1) is half

    def test_less_than_two_slices_are_too_few(self) -> None:
        with pytest.raises(ConfigError, match="out of memory"):
            micro_batch(config(batch=4).batches, 4)


class TestUpdateAverage:
    def test_worked_by_hand(self) -> None:
        averaged, current = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
        nn.init.constant_(current.weight, 3.0)
        current.running_mean.fill_(8.0)
        current.num_batches_tracked.fill_(7)
        update_average(averaged, current, decay=0.75)
        assert averaged.weight.tolist() == [1.5, 1.5]  # 0.75 · 1 + 0.25 · 3
        assert averaged.running_mean.tolist() == [2.0, 2.0]  # 0.75 · 0 + 0.25 · 8
        assert averaged.num_batches_tracked == 7  # a count is copied
        assert current.weight.tolist() == [3.0, 3.0]
