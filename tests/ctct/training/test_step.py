from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from training_support import PAIR, config, small_batch

from ctct.errors import ConfigError
from ctct.training.data.batch import TrainingBatch
from ctct.training.losses import segmentation_loss
from ctct.training.methods.base import Method, StepInputs
from ctct.training.methods.cross_teaching import CrossTeaching
from ctct.training.step import StepLosses, batch_losses, micro_batch, update_average

GENERATOR = torch.Generator()


def losses_of(batch: TrainingBatch, weight: float, method: Method | None = None) -> StepLosses:
    method = method or CrossTeaching(PAIR, config(**PUBLISHED).unlabelled_slices)
    return batch_losses(batch, PAIR, PAIR, method, weight, GENERATOR)


#: Cross teaching as published.
PUBLISHED = {"teacher": "student", "other_teacher_share": 1.0, "pseudo_loss": "dice"}


def labelled_alone() -> TrainingBatch:
    """The labelled slices of the small batch."""
    batch = small_batch()
    return dataclasses.replace(
        batch,
        images=batch.images[:2],
        partner=torch.arange(2),
        rectangle=batch.rectangle[:2],
        plain=batch.plain[:0],
        geometry=batch.geometry[:0],
    )


class Fixed(nn.Module):
    """A network with these logits, whatever it sees."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


class TestBatchLosses:
    def test_cross_teaching_as_published(self) -> None:
        batch = small_batch()
        losses = losses_of(batch, 0.1)
        logits = [network(batch.images) for network in PAIR]
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
        labels = torch.cat((two.labels, two.labels[:1]))
        three = dataclasses.replace(
            two, labels=labels, plain=two.plain[1:], geometry=two.geometry[1:]
        )
        losses = losses_of(three, 0.6)
        expected = 2 * losses.labelled + 0.6 / 3 * 2 * losses.unlabelled
        torch.testing.assert_close(losses.total.detach(), expected)

    def test_a_rectangle_takes_image_and_labels_along(self) -> None:
        # With every slice half its partner's, mixing only changes the order of the halves, and the
        # networks are pixelwise, their losses sums over the batch.
        method = CrossTeaching(PAIR, config().unlabelled_slices)
        plain = losses_of(small_batch(), 1.0, method)
        mixed = losses_of(small_batch(mixed=True), 1.0, method)
        torch.testing.assert_close(vars(mixed), vars(plain))

    def test_what_is_unknown_is_not_learned_as_background(self) -> None:
        """RV and MYO are unknown in a slice of background, and known in the other one.

        The networks may share the background's probability out among the three as they like.
        """
        unknown = torch.tensor([[False, True, True, False], [False] * 4])
        labels = small_batch().labels.clone()
        labels[0] = 0
        complete = dataclasses.replace(labelled_alone(), labels=labels)
        partly = dataclasses.replace(complete, unknown=unknown)
        logits = PAIR[0](complete.images).detach()
        moved = logits.clone()
        moved[0, 0], moved[0, 1] = logits[0, 1], logits[0, 0]  # background is RV, and the reverse

        def loss(logits: Tensor, batch: TrainingBatch) -> float:
            network = Fixed(logits)
            method = CrossTeaching((network, network), config().unlabelled_slices)
            found = batch_losses(batch, (network,) * 2, (network,) * 2, method, 0.0, GENERATOR)
            return found.labelled.item()

        assert loss(moved, partly) == pytest.approx(loss(logits, partly), abs=1e-6)
        assert abs(loss(moved, complete) - loss(logits, complete)) > 1e-3

    def test_labelled_slices_alone(self) -> None:
        alone = labelled_alone()
        losses = losses_of(alone, 1.0)
        expected = sum(segmentation_loss(network(alone.images), alone.labels) for network in PAIR)
        torch.testing.assert_close(losses.total, expected)
        assert losses.unlabelled == 0

    def test_another_method_is_another_module(self) -> None:
        class Half(Method):
            def forward(self, step: StepInputs) -> Tensor:
                return torch.tensor(0.5)

        losses = losses_of(small_batch(), 3.0, Half(PAIR, config().unlabelled_slices))
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
