from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ctct.models.grid import NetworkGrid
from ctct.training.config import TrainingConfig
from ctct.training.cross_teaching import segmentation_loss
from ctct.training.data.augment import rectangles
from ctct.training.data.collection import Volume
from ctct.training.data.slices import SliceSet
from ctct.training.step import TrainingBatch, batch_loss, draw_batch, part_of


def batch(mixed: bool = False) -> TrainingBatch:
    generator = torch.Generator().manual_seed(0)
    weak = torch.randn(4, 1, 8, 8, generator=generator)
    rectangle = torch.zeros(4, 8, 8, dtype=torch.bool)
    rectangle[:, :, :4] = mixed
    labels = torch.randint(4, (2, 8, 8), generator=generator)
    return TrainingBatch(weak, weak + 0.1, labels, torch.tensor([2, 3, 0, 1]), rectangle)


class Pixelwise(nn.Module):
    """Logits that are a multiple of the intensity, another for each class."""

    def __init__(self, *factors: float) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor(factors, dtype=torch.float32)[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors


CNN, TRANSFORMER = Pixelwise(0, 1, 2, -1), Pixelwise(1, 0, -1, 2)
PAIR = (CNN, TRANSFORMER)


def config(**changes: object) -> TrainingConfig:
    return TrainingConfig(data=".", **{"batch": 4, "confidence": 0.0, **changes})


def test_cross_teaching_as_published() -> None:
    settings = config(teacher="student", other_teacher_share=1.0, pseudo_loss="dice")
    one = batch()
    loss, parts = batch_loss(one, PAIR, PAIR, settings, cross_teaching_weight=0.1)
    logits = [network(one.strong) for network in PAIR]
    supervised = sum(segmentation_loss(each[:2], one.labels) for each in logits)
    crossed = segmentation_loss(logits[0][2:], logits[1][2:].argmax(1), kind="dice")
    crossed = crossed + segmentation_loss(logits[1][2:], logits[0][2:].argmax(1), kind="dice")
    torch.testing.assert_close(loss, supervised + 0.1 * crossed)
    torch.testing.assert_close(parts["crossed"], crossed.detach() / 2)


def test_an_unlabelled_slice_weighs_as_much_whatever_their_number() -> None:
    """Three labelled and one unlabelled: the mean over the latter counts a third."""
    two = batch()
    more = TrainingBatch(
        two.weak, two.strong, torch.cat((two.labels, two.labels[:1])), two.partner, two.rectangle
    )
    settings = config(
        labelled_batch=3, teacher="student", other_teacher_share=1.0, pseudo_loss="dice"
    )
    loss, parts = batch_loss(more, PAIR, PAIR, settings, cross_teaching_weight=0.6)
    expected = 2 * parts["supervised"] + 0.6 / 3 * 2 * parts["crossed"]
    torch.testing.assert_close(loss.detach(), expected)


def test_teachers_see_the_weak_view_and_get_no_gradient() -> None:
    one, teachers = batch(), (Pixelwise(0, 1, 2, -1), Pixelwise(1, 0, -1, 2))
    seen: list[Tensor] = []
    teachers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    loss, _ = batch_loss(one, PAIR, teachers, config(), cross_teaching_weight=1.0)
    loss.backward()
    assert torch.equal(seen[0], one.weak[2:])
    assert all(teacher.factors.grad is None for teacher in teachers)


def test_a_rectangle_takes_image_and_labels_along() -> None:
    # With every slice half its partner's, mixing twice changes nothing but the order of the halves.
    plain, _ = batch_loss(batch(), PAIR, PAIR, config(teacher="ema"), 1.0)
    mixed, _ = batch_loss(batch(mixed=True), PAIR, PAIR, config(teacher="ema"), 1.0)
    torch.testing.assert_close(mixed, plain)  # pixelwise networks, losses summed over the batch


def test_labelled_slices_alone() -> None:
    one = batch()
    alone = TrainingBatch(
        one.weak[:2], one.strong[:2], one.labels, torch.arange(2), one.rectangle[:2]
    )
    loss, parts = batch_loss(alone, PAIR, PAIR, config(), 1.0)
    expected = sum(segmentation_loss(network(alone.strong), one.labels) for network in PAIR)
    torch.testing.assert_close(loss, expected)
    assert parts["crossed"] == 0


def test_parts_of_two_processes_are_the_batch() -> None:
    one = batch()
    halves = [part_of(one, rank, 2) for rank in range(2)]
    assert part_of(one, 0, 1) is one
    assert [len(part.labels) for part in halves] == [1, 1]
    for rank, part in enumerate(halves):
        assert torch.equal(part.weak, one.weak[[rank, 2 + rank]])
        assert torch.equal(part.labels, one.labels[[rank]])
        assert sorted(part.partner.tolist()) == [0, 1]


def test_rectangles() -> None:
    masks = rectangles(300, 40, 0.5, torch.Generator().manual_seed(0))
    used = masks.flatten(1).any(1)
    assert 0.4 < used.float().mean() < 0.6  # 0.5, standard deviation 0.03
    for mask in masks[used][:50]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
        assert rows.sum() <= 0.6 * 40 + 1
        assert (rows.int().diff() == 1).sum() <= 1  # in one piece


def test_a_window_lies_around_the_heart() -> None:
    # A heart of 12 × 12 mm in a corner: turned by 25° at most, all of it is in a window of 32 mm.
    labels = np.zeros((1, 100, 100), np.uint8)
    labels[:, 10:22, 70:82] = 3
    slices = SliceSet([Volume("a", "a", labels, labels, (1, 1))])
    settings = config(
        grid_size=64, heart_crop_size=32, augmentation="paper", cut_mix=0.0, labelled_only=True
    )
    generator = torch.Generator().manual_seed(0)
    sides = []
    for _ in range(20):
        drawn, _ = draw_batch(slices, None, settings, NetworkGrid(64, 1.0), generator)
        assert drawn.weak.shape[2:] == drawn.labels.shape[1:] == drawn.rectangle.shape[1:]
        sides.append(drawn.labels.shape[-1])
        if sides[-1] == 32:
            assert ((drawn.labels == 3).sum((1, 2)) - 144).abs().max() < 12
            rows = torch.arange(32.0)[:, None] - 15.5
            assert (rows * (drawn.labels == 3)).sum((1, 2)).abs().max() < 144 * 0.5
    assert 5 <= sides.count(32) <= 15  # half of 20, standard deviation 2.2
    assert sides.count(64) == 20 - sides.count(32)
