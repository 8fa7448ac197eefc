from __future__ import annotations

import numpy as np

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.components import find_heart, largest_component


def ventricles() -> np.ndarray:
    """(3, 40, 40): a ring of myocardium around the LV, the RV left of it; far off, nothing."""
    labels = np.zeros((3, 40, 40), np.uint8)
    labels[:, 10:20, 10:20] = VALUE[MYO]
    labels[:, 12:18, 12:18] = VALUE[LV]
    labels[:, 12:18, 6:10] = VALUE[RV]  # 72 voxels
    return labels


def test_the_rv_is_what_lies_beside_the_wall_even_if_another_piece_is_larger() -> None:
    heart = ventricles()
    labels = heart.copy()
    labels[0, 28:40, 28:40] = VALUE[RV]  # 144 voxels in the body wall
    rv, wall = find_heart(labels)
    assert (rv == (heart == VALUE[RV])).all()
    assert (wall == np.isin(heart, (VALUE[MYO], VALUE[LV]))).all()


def test_a_thin_line_between_rv_and_wall_does_not_part_them() -> None:
    labels = ventricles()
    labels[:, :, 9] = 0
    true_rv = labels == VALUE[RV]
    labels[0, 21:23, 14] = VALUE[RV]  # two voxels below the wall, as near as the RV
    assert (find_heart(labels)[0] == true_rv).all()


def test_an_rv_alone_stays() -> None:
    labels = ventricles()
    labels[labels != VALUE[RV]] = 0
    labels[0, 30:32, 30] = VALUE[RV]
    rv, wall = find_heart(labels)
    assert np.count_nonzero(rv) == 72
    assert not wall.any()


def test_an_rv_far_from_the_wall_stays_if_there_is_no_other() -> None:
    labels = ventricles()
    labels[labels == VALUE[RV]] = 0
    labels[1, 30:33, 30:33] = VALUE[RV]
    labels[1, 38, 38] = VALUE[RV]
    assert np.count_nonzero(find_heart(labels)[0]) == 9


def test_of_two_walls_the_larger_stays() -> None:
    labels = ventricles()
    labels[1, 30:34, 30:34] = VALUE[LV]
    assert (find_heart(labels)[1] == np.isin(ventricles(), (VALUE[MYO], VALUE[LV]))).all()


def test_the_largest_component_is_counted_in_three_dimensions() -> None:
    mask = np.zeros((2, 6, 6), bool)
    mask[:, 0:2, 0:2] = True  # 8 voxels, 4 in each slice
    mask[0, 4:6, 3:6] = True  # 6 voxels in one slice
    kept = largest_component(mask)
    assert kept[:, 0:2, 0:2].all()
    assert np.count_nonzero(kept) == 8


def test_voxels_that_touch_at_a_corner_are_one_component() -> None:
    mask = np.zeros((2, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert np.count_nonzero(largest_component(mask)) == 2


def test_nothing_stays_nothing() -> None:
    assert not largest_component(np.zeros((2, 4, 4), bool)).any()
    assert not np.any(find_heart(np.zeros((2, 4, 4), np.uint8)))
