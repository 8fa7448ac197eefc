from __future__ import annotations

import numpy as np

from ctct.inference.clean_up import keep_largest_components


def test_small_islands_go_and_each_structure_keeps_its_largest() -> None:
    labels = np.zeros((1, 2, 6, 6), np.uint8)
    labels[0, 0, 0:2, 0:2] = 3  # 4 voxels of LV, 8 with those of the next slice
    labels[0, 1, 0:2, 0:2] = 3
    labels[0, 0, 4:6, 3:6] = 3  # 6 voxels in one slice: the larger area, the smaller volume
    labels[0, 0, 0, 4] = 1  # a lone RV voxel is the largest there is
    cleaned = keep_largest_components(labels)
    assert (cleaned[0, :, 0:2, 0:2] == 3).all()
    assert not cleaned[0, 0, 4:6, 3:6].any()
    assert cleaned[0, 0, 0, 4] == 1
    assert np.count_nonzero(cleaned) == 9


def test_voxels_that_touch_at_a_corner_are_one_component() -> None:
    labels = np.zeros((1, 2, 3, 3), np.uint8)
    labels[0, 0, 0, 0] = labels[0, 1, 1, 1] = 2
    assert np.count_nonzero(keep_largest_components(labels)) == 2


def test_frames_are_cleaned_apart_and_the_input_is_left_alone() -> None:
    labels = np.zeros((2, 1, 5, 5), np.uint8)
    labels[0, 0, 0, 0:3] = labels[1, 0, 4, 4] = 1
    before = labels.copy()
    assert (keep_largest_components(labels) == before).all()
    assert (labels == before).all()


def test_nothing_stays_nothing() -> None:
    empty = np.zeros((1, 2, 4, 4), np.uint8)
    assert not keep_largest_components(empty).any()
