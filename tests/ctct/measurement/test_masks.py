from __future__ import annotations

import numpy as np

from ctct.measurement.masks import count_sides, shift_to_neighbors


def test_a_pixel_is_seen_by_its_four_neighbors() -> None:
    mask = np.zeros((2, 3, 4), bool)
    mask[1, 1, 2] = True
    shifted = shift_to_neighbors(mask)
    assert {tuple(np.argwhere(one)[0]) for one in shifted} == {
        *((1, 0, 2), (1, 2, 2), (1, 1, 1), (1, 1, 3)),
    }
    assert all(np.count_nonzero(one) == 1 for one in shifted)


def test_beyond_the_edge_is_nothing() -> None:
    counts = [np.count_nonzero(one) for one in shift_to_neighbors(np.ones((2, 3), bool))]
    assert counts == [3, 3, 4, 4]  # a row of 3, or a column of 2, looks beyond the edge


def test_sides_by_hand() -> None:
    ring = np.zeros((1, 4, 5), bool)
    ring[0, 0:3, 1:4] = True
    ring[0, 1, 2] = False  # the hole
    ring[0, 1, 3] = False  # a gap on its right
    assert count_sides(ring).tolist() == [
        [
            [1, 4, 4, 4, 1],
            [1, 4, 3, 3, 1],
            [1, 4, 4, 4, 1],
            [0, 1, 1, 1, 0],
        ]
    ]
