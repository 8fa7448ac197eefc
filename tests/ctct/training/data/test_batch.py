from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from training_support import config, small_batch

from ctct.datasets.collection import Volume
from ctct.models.grid import HeartCrop, NetworkGrid
from ctct.training.data.augment import rectangles
from ctct.training.data.batch import draw_batch, shard
from ctct.training.data.slices import SliceSet


def slices(labelled: bool, n: int = 5) -> SliceSet:
    voxels = np.arange(n * 64, dtype=np.uint8).reshape(n, 8, 8)
    return SliceSet([Volume("a", "a", voxels, voxels % 4 if labelled else None, (1, 1))])


class TestDrawBatch:
    def test_the_labelled_slices_come_first(self) -> None:
        settings = config(batch=6, labelled_batch=2).batches
        grid, generator = NetworkGrid(32, 1.0), torch.Generator().manual_seed(0)
        batch = draw_batch(slices(True), slices(False), settings, grid, generator)
        assert batch.images.shape == (6, 1, 32, 32)
        assert batch.plain.shape == (4, 1, 32, 32)
        assert batch.labels.shape == (2, 32, 32)
        assert [len(numbers) for numbers in batch.numbers] == [2, 4]
        assert sorted(batch.partner.tolist()) == list(range(6))

    def test_without_unlabelled_slices_all_are_labelled(self) -> None:
        settings = config(batch=6, labelled_batch=2).batches
        grid, generator = NetworkGrid(32, 1.0), torch.Generator().manual_seed(0)
        batch = draw_batch(slices(True), None, settings, grid, generator)
        assert batch.labels.shape == (6, 32, 32)
        assert [len(numbers) for numbers in batch.numbers] == [6]

    def test_the_share_of_partly_labelled_slices(self) -> None:
        """A quarter of 2 or 8 labelled slices, in the mean; after the others, before the rest."""
        voxels = np.full((3, 8, 8), 50, np.uint8)
        partly = SliceSet([Volume("c", "c", voxels, voxels * 0 + 3, (1, 1), ("LV",))])
        grid, generator = NetworkGrid(32, 1.0), torch.Generator().manual_seed(0)
        for settings, unlabelled, wanted in (
            (config(batch=6, labelled_batch=2).batches, slices(False), 0.5),
            (config(batch=8, partly_labelled_share=0.3).batches, None, 2.4),
            (config(batch=4, labelled_batch=1).batches, slices(False), 0.25),
        ):
            counts = []
            for _ in range(60):
                batch = draw_batch(
                    slices(True), unlabelled, settings, grid, generator, partly_labelled=partly
                )
                assert batch.unknown is not None
                full, count = len(batch.numbers[0]), len(batch.numbers[1])
                assert full + count == len(batch.labels) == len(batch.unknown)
                expected = [[False] * 4] * full + [[False, True, True, False]] * count
                assert batch.unknown.tolist() == expected
                assert len(batch.images) == settings.batch
                counts.append(count)
            assert set(counts) <= {int(wanted), int(wanted) + 1}
            assert np.mean(counts) == pytest.approx(wanted, abs=0.2)  # 3 standard deviations

    def test_a_heart_crop_lies_around_the_heart(self) -> None:
        # A heart of 12 × 12 mm in a corner: turned by 25° at most, all of it is in a crop of 32 mm.
        labels = np.zeros((1, 100, 100), np.uint8)
        labels[:, 10:22, 70:82] = 3
        hearts = SliceSet([Volume("a", "a", labels, labels, (1, 1))])
        settings = config(augmentation="paper", cut_mix=0.0).batches
        generator = torch.Generator().manual_seed(0)
        sides = []
        for _ in range(40):
            drawn = draw_batch(
                hearts, None, settings, NetworkGrid(64, 1.0), generator, HeartCrop(32)
            )
            assert drawn.images.shape[2:] == drawn.labels.shape[1:] == drawn.rectangle.shape[1:]
            sides.append(drawn.labels.shape[-1])
            if sides[-1] == 32:
                assert ((drawn.labels == 3).sum((1, 2)) - 144).abs().max() < 12
                rows = torch.arange(32.0)[:, None] - 15.5
                assert (rows * (drawn.labels == 3)).sum((1, 2)).abs().max() < 144 * 0.5
        assert 24 <= sides.count(32) < 40  # four fifths of 40, standard deviation 2.5
        assert sides.count(64) == 40 - sides.count(32)
        settings = config(augmentation="paper", heart_crop_share=0.999).batches
        drawn = draw_batch(hearts, None, settings, NetworkGrid(64, 1.0), generator, HeartCrop(32))
        assert drawn.labels.shape[-1] == 32


def test_shards_of_two_processes_are_the_batch() -> None:
    one = small_batch()
    halves = [shard(one, rank, 2) for rank in range(2)]
    assert shard(one, 0, 1) is one
    assert [len(part.labels) for part in halves] == [1, 1]
    for rank, part in enumerate(halves):
        assert torch.equal(part.images, one.images[[rank, 2 + rank]])
        assert torch.equal(part.labels, one.labels[[rank]])
        assert torch.equal(part.plain, one.plain[[rank]])
        assert sorted(part.partner.tolist()) == [0, 1]


def test_shards_of_a_batch_with_labels_alone() -> None:
    one = small_batch()
    labelled = dataclasses.replace(one, labels=torch.zeros(4, 8, 8, dtype=torch.int64))
    for rank in range(2):
        part = shard(labelled, rank, 2)
        assert torch.equal(part.images, one.images[[rank, 2 + rank]])
        assert len(part.labels) == 2


def test_rectangles() -> None:
    masks = rectangles(300, 40, 0.5, torch.Generator().manual_seed(0))
    used = masks.flatten(1).any(1)
    assert 0.4 < used.float().mean() < 0.6  # 0.5, standard deviation 0.03
    for mask in masks[used][:50]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
        assert rows.sum() <= 0.6 * 40 + 1
        assert (rows.int().diff() == 1).sum() <= 1  # in one piece


def test_labelled_pixels_follow_the_mix() -> None:
    # Partners are 2, 3, 0, 1: the left half of each slice is of the other kind.
    labelled = small_batch(mixed=True).labelled_pixels()
    assert labelled[:, 0].tolist() == [[0] * 4 + [1] * 4] * 2 + [[1] * 4 + [0] * 4] * 2


class TestUnknownPixels:
    """RV and MYO are unknown in the first slice of two labelled and two unlabelled ones."""

    unknown = torch.tensor([[False, True, True, False], [False] * 4])

    def test_the_unknown_travels_with_the_pixels(self) -> None:
        # Partners are 2, 3, 0, 1: the left half of slice 2 is of slice 0, and the reverse.
        batch = dataclasses.replace(small_batch(mixed=True), unknown=self.unknown)
        found = batch.unknown_pixels()
        assert found is not None
        assert found.shape == (4, 4, 8, 8)
        left, right = found[:, :, 3, 0].tolist(), found[:, :, 3, 7].tolist()
        row, nothing = [False, True, True, False], [False] * 4
        assert left == [nothing, nothing, row, nothing]
        assert right == [row, nothing, nothing, nothing]

    def test_between_a_fully_and_a_partly_labelled_slice(self) -> None:
        """Each takes its right half from the other, with labels and what is unknown of them."""
        one = small_batch(mixed=True)
        partner = torch.tensor([1, 0, 2, 3])
        rectangle = torch.zeros(4, 8, 8, dtype=torch.bool)
        rectangle[:, :, 4:] = True
        batch = dataclasses.replace(one, partner=partner, rectangle=rectangle, unknown=self.unknown)
        found = batch.unknown_pixels()
        assert found is not None
        assert found[0, 1].tolist() == [[True] * 4 + [False] * 4] * 8
        assert found[1, 1].tolist() == [[False] * 4 + [True] * 4] * 8
        assert not found[:, [0, 3]].any()
        assert not found[2:].any()
        assert torch.equal(batch.mix(batch.images)[1, 0, :, 4:], batch.images[0, 0, :, 4:])

    def test_of_one_process(self) -> None:
        batch = dataclasses.replace(small_batch(), unknown=self.unknown)
        for rank in range(2):
            part = shard(batch, rank, 2).unknown
            assert part is not None
            assert part.tolist() == [self.unknown[rank].tolist()]

    def test_complete_labels(self) -> None:
        assert small_batch().unknown_pixels() is None


class TestAlign:
    def test_plain_slices_in_the_place_of_the_images(self) -> None:
        """Without changes of intensity, the aligned plain slices are the images."""
        rows = torch.arange(64.0)
        smooth = 100 + 50 * (rows[:, None] / 9).sin() * (rows / 7).cos()  # (64, 64)
        voxels = smooth.to(torch.uint8).numpy()[None].repeat(8, 0)
        unlabelled = SliceSet([Volume("b", "b", voxels, None, (1.0, 1.0))])
        settings = config(batch=8, labelled_batch=1, augmentation="paper").batches
        grid, generator = NetworkGrid(32, 1.5), torch.Generator().manual_seed(0)
        batch = draw_batch(slices(True), unlabelled, settings, grid, generator)
        inside = batch.align(torch.ones_like(batch.plain)) > 0.99
        difference = (batch.align(batch.plain) - batch.images[1:])[inside]
        # Each is normalized by what is in view, so they differ by a little.
        assert difference.abs().max() < 0.3
        assert (batch.plain - batch.images[1:])[inside].abs().median() > 0.3

    def test_worked_by_hand(self) -> None:
        """A shift by one row: what was in row 1 is in row 0, and the last row is not known."""
        batch = small_batch()
        shifted = batch.geometry.clone()
        shifted[:, 0, 2] = 1.0
        batch = dataclasses.replace(batch, geometry=shifted)
        maps = torch.arange(8.0)[:, None].expand(2, 1, 8, 8)
        aligned, weight = batch.align_and_mix(maps)
        assert aligned.shape == (4, 1, 8, 8)
        assert aligned[2, 0, :, 3].tolist() == pytest.approx([1, 2, 3, 4, 5, 6, 7, 0], abs=1e-5)
        assert weight[2, :, 3].tolist() == [1, 1, 1, 1, 1, 1, 1, 0]
        assert not weight[:2].any()  # labelled slices

    def test_aligned_maps_are_mixed_as_the_slices_are(self) -> None:
        batch = small_batch(mixed=True)  # the left half of each is its partner's: 2, 3, 0, 1
        maps = torch.tensor([10.0, 20.0])[:, None, None, None].expand(2, 1, 8, 8)
        aligned, weight = batch.align_and_mix(maps)
        assert aligned[:, 0, 4, [0, 7]].tolist() == [[10, 0], [20, 0], [0, 10], [0, 20]]
        assert torch.equal(weight, 1 - batch.labelled_pixels())


def test_random_crops_lie_within_the_slice() -> None:
    # A slice of 96 × 40 pixels of 1 mm, bright everywhere, on a grid of 48 mm: rows leave 24 mm of
    # room either way, columns none, so they are always seen whole with 4 mm beyond each end.
    voxels = np.full((1, 96, 40), 100, np.uint8)
    voxels[0, :48] = 200
    slices = SliceSet([Volume("a", "a", voxels, voxels % 4, (1, 1))])
    settings = config(batch=64, augmentation="paper").batches
    grid = NetworkGrid(32, 1.5, intensities="unit_range")
    images = draw_batch(slices, None, settings, grid, torch.Generator().manual_seed(0)).images
    assert images.amin() == 0  # beyond the columns
    assert images.amax() == 1
    brightest = (images == 1).float().mean((1, 2, 3))
    assert brightest.std() > 0.1  # the share of the bright half differs from crop to crop


def test_small_and_large_hearts_look_alike_on_heart_crops() -> None:
    """Squares of 12 and 36 mm, off the middle, fill 18 × 18 of the 32 pixels of 1 mm."""

    def patient(name: str, side: int) -> Volume:
        labels = np.zeros((1, 120, 120), np.uint8)
        labels[:, 20 : 20 + side, 60 : 60 + side] = 3
        return Volume(name, name, labels, labels, (1, 1))

    hearts = SliceSet([patient("small", 12), patient("large", 36)])
    settings = config(augmentation="paper", heart_crop_share=0.999, cut_mix=0.0).batches
    crop, generator = HeartCrop(32, 18.0), torch.Generator().manual_seed(0)
    for _ in range(5):
        labels = draw_batch(hearts, None, settings, NetworkGrid(64, 1.0), generator, crop).labels
        assert ((labels == 3).sum((1, 2)) - 18**2).abs().max() < 40
