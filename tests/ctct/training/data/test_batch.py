from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from training_support import config, small_batch

from ctct.datasets.collection import Volume
from ctct.models.grid import NetworkGrid
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
        assert batch.weak.shape == batch.strong.shape == (6, 1, 32, 32)
        assert batch.labels.shape == (2, 32, 32)
        assert [len(numbers) for numbers in batch.numbers] == [2, 4]
        assert sorted(batch.partner.tolist()) == list(range(6))

    def test_without_unlabelled_slices_all_are_labelled(self) -> None:
        settings = config(batch=6, labelled_batch=2).batches
        grid, generator = NetworkGrid(32, 1.0), torch.Generator().manual_seed(0)
        batch = draw_batch(slices(True), None, settings, grid, generator)
        assert batch.labels.shape == (6, 32, 32)
        assert [len(numbers) for numbers in batch.numbers] == [6]

    def test_a_heart_crop_lies_around_the_heart(self) -> None:
        # A heart of 12 × 12 mm in a corner: turned by 25° at most, all of it is in a crop of 32 mm.
        labels = np.zeros((1, 100, 100), np.uint8)
        labels[:, 10:22, 70:82] = 3
        hearts = SliceSet([Volume("a", "a", labels, labels, (1, 1))])
        settings = config(augmentation="paper", cut_mix=0.0).batches
        generator = torch.Generator().manual_seed(0)
        sides = []
        for _ in range(20):
            drawn = draw_batch(hearts, None, settings, NetworkGrid(64, 1.0), generator, 32)
            assert drawn.weak.shape[2:] == drawn.labels.shape[1:] == drawn.rectangle.shape[1:]
            sides.append(drawn.labels.shape[-1])
            if sides[-1] == 32:
                assert ((drawn.labels == 3).sum((1, 2)) - 144).abs().max() < 12
                rows = torch.arange(32.0)[:, None] - 15.5
                assert (rows * (drawn.labels == 3)).sum((1, 2)).abs().max() < 144 * 0.5
        assert 5 <= sides.count(32) <= 15  # half of 20, standard deviation 2.2
        assert sides.count(64) == 20 - sides.count(32)


def test_shards_of_two_processes_are_the_batch() -> None:
    one = small_batch()
    halves = [shard(one, rank, 2) for rank in range(2)]
    assert shard(one, 0, 1) is one
    assert [len(part.labels) for part in halves] == [1, 1]
    for rank, part in enumerate(halves):
        assert torch.equal(part.weak, one.weak[[rank, 2 + rank]])
        assert torch.equal(part.labels, one.labels[[rank]])
        assert sorted(part.partner.tolist()) == [0, 1]


def test_shards_of_a_batch_with_labels_alone() -> None:
    one = small_batch()
    labelled = replace(one, labels=torch.zeros(4, 8, 8, dtype=torch.int64))
    for rank in range(2):
        part = shard(labelled, rank, 2)
        assert torch.equal(part.weak, one.weak[[rank, 2 + rank]])
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
