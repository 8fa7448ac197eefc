from __future__ import annotations

import numpy as np

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.components import find_heart


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
    labels[1, 28:34, 28:34] = VALUE[MYO]
    labels[1, 30:32, 30:32] = VALUE[LV]
    assert (find_heart(labels)[1] == np.isin(ventricles(), (VALUE[MYO], VALUE[LV]))).all()


def test_a_larger_cavity_without_a_ring_is_not_the_heart() -> None:
    heart = ventricles()  # 300 voxels of LV and wall, the LV within
    labels = heart.copy()
    labels[0, 22:40, 18:40] = VALUE[LV]  # 396 voxels of stomach
    labels[0, 22:40, 38:40] = VALUE[MYO]  # with muscle on one side
    rv, wall = find_heart(labels)
    assert (wall == np.isin(heart, (VALUE[MYO], VALUE[LV]))).all()
    assert (rv == (heart == VALUE[RV])).all()


def test_a_larger_ring_without_an_rv_is_not_the_heart() -> None:
    heart = ventricles()  # 300 voxels of LV and wall, 72 of RV
    labels = heart.copy()
    labels[0, 22:40, 21:40] = VALUE[MYO]  # 342 voxels
    labels[0, 24:38, 23:38] = VALUE[LV]
    rv, wall = find_heart(labels)
    assert (wall == np.isin(heart, (VALUE[MYO], VALUE[LV]))).all()
    assert (rv == (heart == VALUE[RV])).all()


def test_an_rv_elsewhere_does_not_speak_for_a_ring() -> None:
    labels = ventricles()
    wall = np.isin(labels, (VALUE[MYO], VALUE[LV]))
    labels[labels == VALUE[RV]] = 0
    labels[0, 24:28, 30:40] = VALUE[RV]  # beside neither
    labels[1, 30:39, 20:39] = VALUE[MYO]
    labels[1, 32:37, 22:37] = VALUE[LV]  # 171 voxels of a second ring
    rv, found = find_heart(labels)
    assert (found == wall).all()
    assert (rv == (labels == VALUE[RV])).all()


def test_a_large_heart_whose_ring_has_a_gap_stays_beside_a_small_closed_ring() -> None:
    labels = ventricles()
    labels[:, 10:12, 12:18] = 0  # each pixel of the LV has muscle on three sides
    wall = np.isin(labels, (VALUE[MYO], VALUE[LV]))
    labels[1, 30:33, 30:33] = VALUE[MYO]
    labels[1, 31, 31] = VALUE[LV]
    assert (find_heart(labels)[1] == wall).all()


def test_the_largest_stays_where_none_has_a_ring() -> None:
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[:, 0:2, 0:2] = VALUE[LV]  # 8 voxels, 4 in each slice
    labels[0, 10:12, 3:6] = VALUE[LV]  # 6 voxels in one slice
    labels[1, 10, 15] = VALUE[MYO]
    wall = find_heart(labels)[1]
    assert wall[:, 0:2, 0:2].all()
    assert np.count_nonzero(wall) == 8


def test_voxels_that_touch_at_a_corner_are_one_component() -> None:
    labels = np.zeros((2, 3, 3), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = VALUE[MYO]
    assert np.count_nonzero(find_heart(labels)[1]) == 2


def test_nothing_stays_nothing() -> None:
    assert not np.any(find_heart(np.zeros((2, 4, 4), np.uint8)))
