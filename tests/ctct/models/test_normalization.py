from __future__ import annotations

import torch
from torch import Tensor, nn

from ctct.models.graph import SegmentationGraph
from ctct.models.grid import NetworkGrid


def network() -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(1, momentum=1.0), nn.Conv2d(1, 4, 1))


def graph(heart_crop: bool) -> SegmentationGraph:
    return SegmentationGraph(network(), network(), NetworkGrid(96, 1.5), heart_crop=heart_crop)


def mean(pair: SegmentationGraph) -> float:
    statistic: Tensor = pair.cnn.get_buffer("0.running_mean")
    return statistic.item()


def seen(pair: SegmentationGraph, value: float) -> SegmentationGraph:
    """``pair`` after it was trained on slices of that value: with a momentum of 1 that is it."""
    size = pair.grid.size
    for member in (pair.cnn, pair.transformer):
        member.train()(torch.full((2, 1, size, size), value))
    return pair


def test_each_grid_keeps_its_own_statistics() -> None:
    pair = seen(graph(heart_crop=True), 5.0)
    pair.fit(32)
    assert mean(pair) == 0.0  # as it was made
    seen(pair, 7.0)
    pair.fit(64)
    assert mean(pair) == 7.0  # every smaller grid is a window
    pair.fit(96)
    assert mean(pair) == 5.0
    pair.fit(96)
    assert mean(pair) == 5.0
    pair.fit(32)
    assert mean(pair) == 7.0


def test_without_a_heart_crop_there_is_one_set() -> None:
    pair = seen(graph(heart_crop=False), 5.0)
    pair.fit(32)
    assert mean(pair) == 5.0
    assert not [name for name in pair.state_dict() if "other" in name]


def test_weights_of_both_grids_are_taken() -> None:
    source = seen(graph(heart_crop=True), 5.0)
    source.fit(32)
    seen(source, 7.0)
    source.fit(96)
    pair = graph(heart_crop=True)
    pair.load_weights(source.state_dict())
    torch.testing.assert_close(pair.state_dict(), source.state_dict())
    pair.fit(32)
    assert mean(pair) == 7.0


def test_weights_of_one_grid_are_for_windows_too() -> None:
    source = seen(graph(heart_crop=False), 5.0)
    pair = graph(heart_crop=True)
    pair.load_weights(source.state_dict())
    assert mean(pair) == 5.0
    pair.fit(32)
    assert mean(pair) == 5.0


def test_a_pair_without_a_heart_crop_leaves_theirs() -> None:
    pair = graph(heart_crop=False)
    pair.load_weights(seen(graph(heart_crop=True), 5.0).state_dict())
    assert mean(pair) == 5.0
