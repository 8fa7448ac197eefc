from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.model_files.variant import Variant
from ctct.models.graph import (
    ORIENTATIONS,
    SegmentationGraph,
    orient,
    undo_orientation,
)
from ctct.models.grid import NetworkGrid

GRID = NetworkGrid(size=32, spacing_mm=1.0)


class Certain(nn.Module):
    """Gives the class ``bright`` where the normalized input is above 0, ``dark`` elsewhere."""

    def __init__(self, bright: int, dark: int = 0, margin: float = 50.0) -> None:
        super().__init__()
        self.bright, self.dark, self.margin = bright, dark, margin

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.zeros(len(x), 4, *x.shape[2:])
        logits[:, self.bright] += self.margin * (x[:, 0] > 0)
        logits[:, self.dark] += self.margin * (x[:, 0] <= 0)
        return logits


def block(size: tuple[int, int] = (32, 32)) -> Tensor:
    """A slice of 10 with a block of 200 in rows 8 to 15 and columns 12 to 23."""
    image = torch.full((1, 1, *size), 10.0)
    image[0, 0, 8:16, 12:24] = 200
    return image


def one_mm(n: int = 1) -> Tensor:
    return torch.ones(n, 2)


@pytest.mark.parametrize("size", [(32, 32), (31, 47), (20, 90), (1, 1)])
@pytest.mark.parametrize("n", [1, 3])
def test_maps_have_the_size_of_the_slices(n: int, size: tuple[int, int]) -> None:
    graph = SegmentationGraph(Certain(3), Certain(2), GRID, variant=Variant(probabilities=True))
    labels, disagreement, probabilities = graph(torch.rand(n, 1, *size), 1.4 * one_mm(n))
    assert (labels.shape, labels.dtype) == ((n, *size), torch.uint8)
    assert (disagreement.shape, disagreement.dtype) == ((n, *size), torch.float32)
    assert (probabilities.shape, probabilities.dtype) == ((n, 4, *size), torch.float32)


def test_labels_lie_where_the_network_saw_them() -> None:
    labels, _ = SegmentationGraph(Certain(3), Certain(3), GRID)(block(), one_mm())
    expected = torch.zeros(1, 32, 32, dtype=torch.uint8)
    expected[0, 8:16, 12:24] = 3
    assert torch.equal(labels, expected)


def test_labels_lie_there_at_another_spacing_as_well() -> None:
    # 64 × 32 pixels of 0.5 × 1 mm cover the grid exactly. Rows 20 to 31 are its rows 10 to 15.
    image = torch.full((1, 1, 64, 32), 10.0)
    image[0, 0, 20:32, 4:9] = 200
    graph = SegmentationGraph(Certain(1), Certain(1), GRID)
    labels, _ = graph(image, torch.tensor([[0.5, 1.0]]))
    expected = torch.zeros(1, 64, 32, dtype=torch.uint8)
    expected[0, 20:32, 4:9] = 1
    assert torch.equal(labels, expected)


def test_slices_stretched_to_the_grid_are_labelled_to_their_edge() -> None:
    # 64 × 32 pixels fill the grid, whatever their spacing: rows 20 to 31 are its rows 10 to 15.
    image = torch.full((1, 1, 64, 32), 10.0)
    image[0, 0, 20:32, 4:9] = 200
    grid = NetworkGrid(size=32, spacing_mm=1.0, stretch=True)
    graph = SegmentationGraph(Certain(1, dark=2), Certain(1, dark=2), grid)
    labels, _ = graph(image, torch.tensor([[3.0, 0.4]]))
    expected = torch.full((1, 64, 32), 2, dtype=torch.uint8)
    expected[0, 20:32, 4:9] = 1
    assert torch.equal(labels, expected)


def test_beyond_the_field_of_view_is_background() -> None:
    # The grid is 32 mm wide; of 48 rows of 1 mm it covers rows 8 to 39.
    graph = SegmentationGraph(
        Certain(2, dark=2), Certain(2, dark=2), GRID, variant=Variant(probabilities=True)
    )
    labels, disagreement, probabilities = graph(torch.rand(1, 1, 48, 32), one_mm())
    assert labels[0, 8:40].eq(2).all()
    assert labels[0, :8].eq(0).all()
    assert labels[0, 40:].eq(0).all()
    assert probabilities[0, :, :8].eq(0).all()
    torch.testing.assert_close(probabilities[0, :, 8:40].sum(0), torch.ones(32, 32))
    assert disagreement.eq(0).all()


def test_identical_members_do_not_disagree() -> None:
    _, disagreement = SegmentationGraph(Certain(3), Certain(3), GRID)(block(), one_mm())
    assert disagreement.eq(0).all()


def test_opposite_certain_members_disagree_wholly() -> None:
    # In the block one is sure of LV, the other of RV: ½ (|1 - 0| + |0 - 1|) = 1.
    _, disagreement = SegmentationGraph(Certain(3), Certain(1), GRID)(block(), one_mm())
    inside = torch.zeros(1, 32, 32)
    inside[0, 8:16, 12:24] = 1
    torch.testing.assert_close(disagreement, inside, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("weights", "shares", "label"),
    [
        ((0.5, 0.5), (0.5, 0.5), 1),  # a tie goes to the lower value
        ((3.0, 1.0), (0.75, 0.25), 3),
        ((0.4, 0.6), (0.4, 0.6), 1),
        ((1, 0), (1.0, 0.0), 3),
        ((0, 2), (0.0, 1.0), 1),
    ],
)
def test_weights(weights: tuple[float, float], shares: tuple[float, float], label: int) -> None:
    # In the block the CNN is sure of LV (3), the Transformer of RV (1).
    graph = SegmentationGraph(
        Certain(3), Certain(1), GRID, weights, variant=Variant(probabilities=True)
    )
    labels, _, probabilities = graph(block(), one_mm())
    torch.testing.assert_close(probabilities[0, [3, 1], 10, 15], torch.tensor(shares))
    assert labels[0, 10, 15] == label


def test_mean_is_of_probabilities_not_of_logits() -> None:
    # The CNN leans to LV: p = e/(e + 3) = 0.4754, others 0.1749. The Transformer is sure of RV.
    graph = SegmentationGraph(
        Certain(3, 3, margin=1), Certain(1, 1), GRID, variant=Variant(probabilities=True)
    )
    _, disagreement, probabilities = graph(block(), one_mm())
    expected = torch.tensor([0.0874, 0.5874, 0.0874, 0.2377])
    torch.testing.assert_close(probabilities[0, :, 10, 15], expected, atol=1e-4, rtol=0)
    # ½ (0.1749 + 0.8251 + 0.1749 + 0.4754) = 0.8251
    assert disagreement[0, 10, 15].item() == pytest.approx(0.8251, abs=1e-4)


def test_slices_of_a_batch_do_not_mix() -> None:
    graph = SegmentationGraph(Certain(3), Certain(1), GRID, (0.7, 0.3))
    slices = torch.cat((block(), 1000 * block().flip(2)))
    spacing_mm = torch.tensor([[1.0, 1.0], [0.9, 1.3]])
    for i, pair in enumerate(zip(*graph(slices, spacing_mm), strict=True)):
        alone = graph(slices[i : i + 1], spacing_mm[i : i + 1])
        for batched, single in zip(pair, alone, strict=True):
            torch.testing.assert_close(batched, single[0])


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-0.1, 1.1)])
def test_senseless_weights_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="member weights"):
        SegmentationGraph(Certain(3), Certain(1), GRID, weights)


class Leftmost(nn.Module):
    """Is sure of LV in the left half of the grid, whatever it sees, and of background elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.zeros(len(x), 4, *x.shape[2:])
        logits[:, 3, :, : x.shape[3] // 2] = 50
        logits[:, 0, :, x.shape[3] // 2 :] = 50
        return logits


@pytest.mark.parametrize(("members", "value"), [(("cnn",), 3), (("transformer",), 1)])
def test_one_member_alone_has_no_disagreement(members: tuple[str, ...], value: int) -> None:
    graph = SegmentationGraph(Certain(3), Certain(1), GRID, variant=Variant(members=members))
    labels, disagreement = graph(block(), one_mm())
    assert labels.unique().tolist() == [0, value]
    assert disagreement.shape == labels.shape
    assert disagreement.isnan().all()


def test_orientations_are_eight_and_undone() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    orientations = {
        tuple(orient(x, *orientation).flatten().tolist()) for orientation in ORIENTATIONS
    }
    assert len(orientations) == 8
    for orientation in ORIENTATIONS:
        assert torch.equal(undo_orientation(orient(x, *orientation), *orientation), x)


def test_tta_is_the_mean_over_the_orientations() -> None:
    variant = Variant(tta=True, probabilities=True)
    graph = SegmentationGraph(Leftmost(), Leftmost(), GRID, variant=variant)
    _, _, probabilities = graph(torch.rand(2, 1, 32, 32), one_mm(2))
    # Turned back, the left half of an orientation is each of the four halves twice: every pixel
    # lies in its half of the columns twice, and in its half of the rows twice.
    torch.testing.assert_close(probabilities[:, 3], torch.full((2, 32, 32), 0.5))
    torch.testing.assert_close(probabilities[:, 0], torch.full((2, 32, 32), 0.5))


def test_tta_changes_nothing_for_a_network_that_knows_no_orientation() -> None:
    plain = SegmentationGraph(Certain(3), Certain(2), GRID)
    averaging = SegmentationGraph(Certain(3), Certain(2), GRID, variant=Variant(tta=True))
    for expected, got in zip(plain(block(), one_mm()), averaging(block(), one_mm()), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("members", [(), ("transformer", "cnn"), ("gan",)])
def test_members_that_make_no_sense(members: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="--members must be cnn, transformer or"):
        Variant(members=members)


def test_a_variant_survives_json() -> None:
    variant = Variant(("cnn",), tta=True)
    assert Variant(**json.loads(json.dumps(variant.to_dict()))) == variant
