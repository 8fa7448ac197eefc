from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ctct.models.graph import SegmentationGraph
from ctct.models.grid import HeartCrop, NetworkGrid


def network() -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(1, momentum=1.0), nn.Conv2d(1, 4, 1))


def graph(heart_crop: bool) -> SegmentationGraph:
    crop = HeartCrop(64) if heart_crop else None
    return SegmentationGraph(network(), network(), NetworkGrid(96, 1.5), heart_crop=crop)


def mean(pair: SegmentationGraph) -> float:
    statistic: Tensor = pair.cnn.get_buffer("0.running_mean")
    return statistic.item()


def show(pair: SegmentationGraph, value: float) -> None:
    """Train ``pair`` on slices of that value; with a momentum of 1 it becomes the mean."""
    size = pair.grid.size
    for member in (pair.cnn, pair.transformer):
        member.train()(torch.full((2, 1, size, size), value))


def trained_pair(heart_crop: bool) -> SegmentationGraph:
    """A pair with a mean of 5 on the whole grid, and of 7 on heart crops if it is for these."""
    pair = graph(heart_crop)
    show(pair, 5.0)
    if heart_crop:
        with pair.on_grid(32):
            show(pair, 7.0)
    return pair


def test_each_grid_keeps_its_own_statistics() -> None:
    pair = graph(heart_crop=True)
    show(pair, 5.0)
    with pair.on_grid(32):
        assert mean(pair) == 0.0  # as it was built
        show(pair, 7.0)
    assert mean(pair) == 5.0
    with pair.on_grid(64):  # every smaller grid is a heart crop
        assert mean(pair) == 7.0
        with pair.on_grid(32):
            assert mean(pair) == 7.0
        with pair.on_grid(96):
            assert mean(pair) == 5.0
        assert (mean(pair), pair.grid.size) == (7.0, 64)
    with pair.on_grid(96):
        assert mean(pair) == 5.0


def test_the_whole_grid_is_back_after_an_error() -> None:
    pair = trained_pair(heart_crop=True)
    with pytest.raises(ZeroDivisionError), pair.on_grid(32):
        raise ZeroDivisionError
    assert (mean(pair), pair.grid.size) == (5.0, 96)


def test_a_copy_exchanges_its_own_statistics() -> None:
    pair = trained_pair(heart_crop=True)
    other = copy.deepcopy(pair)
    other.set_grid(32)
    assert (mean(pair), mean(other)) == (5.0, 7.0)


def test_without_a_heart_crop_there_is_one_set() -> None:
    pair = trained_pair(heart_crop=False)
    with pair.on_grid(32):
        assert mean(pair) == 5.0
    assert not [name for name in pair.state_dict() if "other" in name]


def test_weights_of_both_grids_are_taken() -> None:
    source = trained_pair(heart_crop=True)
    pair = graph(heart_crop=True)
    pair.load_weights(source.state_dict())
    torch.testing.assert_close(pair.state_dict(), source.state_dict())
    with pair.on_grid(32):
        assert mean(pair) == 7.0


def test_weights_of_one_grid_serve_for_heart_crops_too() -> None:
    pair = graph(heart_crop=True)
    pair.load_weights(trained_pair(heart_crop=False).state_dict())
    assert mean(pair) == 5.0
    with pair.on_grid(32):
        assert mean(pair) == 5.0


def test_a_pair_without_a_heart_crop_ignores_its_statistics() -> None:
    pair = graph(heart_crop=False)
    pair.load_weights(trained_pair(heart_crop=True).state_dict())
    assert mean(pair) == 5.0
