from __future__ import annotations

import math

import numpy as np
import pytest

from ctct.errors import InputError
from ctct.measurement.quality_indicators import WORST, FrameIndicators, frame_indicators


def heart() -> np.ndarray:
    """(5, 20, 20): LV of 4 x 4 in a ring of one pixel, RV of 3 x 4 beside it; none at the ends."""
    labels = np.zeros((5, 20, 20), np.uint8)
    labels[1:4, 7:13, 9:15] = 2
    labels[1:4, 8:12, 10:14] = 3
    labels[1:4, 8:12, 6:9] = 1
    return labels


def indicators(labels: np.ndarray, disagreement: float = 0.0, removed: int = 0) -> FrameIndicators:
    image = np.array([0, 200, 100, 200], np.float32)[labels]
    image[::2] += 10  # some spread
    return frame_indicators(image, labels, np.full(labels.shape, disagreement, np.float32), removed)


def test_a_whole_heart_shows_nothing() -> None:
    found = indicators(heart())
    assert found.missing == ()
    assert (found.open_ring, found.gaps, found.scattered, found.cut_off) == (0, 0, 0, 0)
    assert (found.swapped, found.score) == (False, 0)
    assert found.slice_disagreement[1:4] == (0, 0, 0)
    assert math.isnan(found.slice_disagreement[0])


def test_disagreement_by_hand() -> None:
    # A labelled slice has 6 x 6 + 3 x 4 = 48 voxels; each of 5 x 400 voxels disagrees by 0.018.
    found = indicators(heart(), 0.018)
    assert found.relative_disagreement == pytest.approx(2000 * 0.018 / (3 * 48))
    assert found.disagreement == pytest.approx({"RV": 0.018, "MYO": 0.018, "LV": 0.018})
    assert found.score == pytest.approx(0.25)
    assert indicators(heart(), 1.0).score == WORST
    assert math.isnan(indicators(heart(), math.nan).score)  # a network alone


def test_an_open_ring() -> None:
    labels = heart()
    labels[1:4, 7:13, 14] = 0  # the right wall: 4 of the 16 edges of the LV
    found = indicators(labels)
    assert found.open_ring == pytest.approx(4 / 16)
    assert found.score == pytest.approx(0.5)
    # Open in the outermost slice alone, as at the base: by nature.
    labels = heart()
    labels[1, 7:13, 14] = 0
    assert indicators(labels).open_ring == 0


def test_gaps_scatter_and_missing_structures() -> None:
    labels = heart()
    labels[2] = 0
    found = indicators(labels, removed=32)
    assert found.gaps == 1
    assert found.scattered == pytest.approx(32 / (2 * 48 + 32))
    assert indicators(np.where(heart() == 1, 0, heart())).missing == ("RV",)


def test_rings_without_a_cavity_and_a_cavity_without_a_ring() -> None:
    # The LV has 3 x 16 voxels.
    whole = indicators(heart())
    assert (whole.hollow, whole.ringless) == (0, 0)
    empty = heart()
    empty[2, 8:12, 10:14] = 0
    assert indicators(empty).hollow == pytest.approx(16 / 32)
    assert indicators(empty).gaps == 1
    solid = heart()
    solid[2, 8:12, 10:14] = 2
    assert (indicators(solid).hollow, indicators(solid).gaps) == (0, 1)
    open_ring = heart()
    open_ring[1, 8:12, 10:14] = 0
    open_ring[1, 9, 14] = 0  # a gap, of one of the four rows
    assert indicators(open_ring).hollow == pytest.approx(12 / 32)
    bare = heart()
    bare[1][bare[1] == 2] = 0
    assert indicators(bare).ringless == pytest.approx(1 / 3)


def test_a_solid_apex_and_a_base_open_to_one_side_show_nothing() -> None:
    labels = heart()
    labels[3, 8:12, 10:14] = 2
    labels[1, 7:13, 14] = 0
    labels[1, 7, 9:14] = 0
    found = indicators(labels)
    assert (found.hollow, found.ringless, found.gaps) == (0, 0, 0)


def test_exchanged_ventricles() -> None:
    exchanged = np.array([0, 3, 2, 1], np.uint8)[heart()]
    assert indicators(exchanged).swapped
    assert not indicators(heart()).swapped


def test_a_heart_at_the_edge_of_the_image() -> None:
    found = indicators(np.ascontiguousarray(heart()[:, :, 10:]))
    # Left are LV 4 x 4 and wall: of 6 x 5 pixels, 18 are outline, 6 of these in the first column.
    assert found.cut_off == pytest.approx(6 / 18)


def test_contrast_by_hand() -> None:
    labels = heart()
    image = np.where(labels == 3, 200.0, 100.0).astype(np.float32)
    image[1] += 30
    image[2] -= 30
    found = frame_indicators(image, labels, np.zeros(labels.shape))
    # Both have a standard deviation of sqrt((900 + 900 + 0) / 3).
    assert found.contrast == pytest.approx(100 / math.sqrt(600))


def test_nothing_found() -> None:
    found = indicators(np.zeros((3, 8, 8), np.uint8), 0.5)
    assert found.missing == ("RV", "MYO", "LV")
    assert found.score == WORST
    assert math.isnan(found.open_ring)
    assert math.isnan(found.contrast)


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match="must be"):
        frame_indicators(np.zeros((1, 2, 2)), np.zeros((2, 2), np.uint8), np.zeros((1, 2, 2)))
