from __future__ import annotations

import numpy as np
import pytest

from ctct.inference.clean_up import clean_up
from ctct.labels import LV, MYO, RV, VALUE


def test_frames_are_cleaned_apart_and_the_input_is_left_alone() -> None:
    labels = np.zeros((2, 1, 5, 5), np.uint8)
    labels[0, 0, 0, 0:3] = labels[1, 0, 4, 4] = 1
    before = labels.copy()
    assert (clean_up(labels) == before).all()
    assert (labels == before).all()


def test_nothing_stays_nothing() -> None:
    assert not clean_up(np.zeros((1, 2, 4, 4), np.uint8)).any()


CAVITY = (slice(10, 14), slice(10, 14))


def heart(slices: int = 6) -> np.ndarray:
    """(1, Z, 24, 24): LV of 4 x 4 in a ring of 2 pixels, RV beside it; solid at the apex, last."""
    labels = np.zeros((1, slices, 24, 24), np.uint8)
    labels[:, :, 8:16, 8:16] = VALUE[MYO]
    labels[:, :-1, *CAVITY] = VALUE[LV]
    labels[:, :, 9:15, 4:8] = VALUE[RV]
    return labels


def damaged(slices: object, rows: object, columns: object, value: int = 0) -> np.ndarray:
    labels = heart()
    labels[0, slices, rows, columns] = value
    return labels


def test_a_whole_heart_stays() -> None:
    assert (clean_up(heart()) == heart()).all()


@pytest.mark.parametrize("value", [0, VALUE[RV], VALUE[MYO]])
def test_a_cavity_that_closes_in_one_slice_keeps_the_lv_on_both_sides(value: int) -> None:
    found = clean_up(damaged(2, *CAVITY, value))
    expected = heart()
    if value == VALUE[MYO]:  # a closed cavity is muscle; a hole in the ring is cavity
        expected[0, 2] = np.where(expected[0, 2] == VALUE[LV], VALUE[MYO], expected[0, 2])
    assert (found == expected).all()


def test_a_cavity_labelled_in_part_is_filled() -> None:
    assert (clean_up(damaged(slice(1, 4), slice(10, 14), slice(10, 13))) == heart()).all()
    assert (clean_up(damaged(slice(None, -1), slice(11, 13), slice(11, 13))) == heart()).all()


def test_rv_within_the_ring_is_cavity() -> None:
    labels = damaged(3, slice(11, 13), slice(10, 13), VALUE[RV])
    assert (clean_up(labels) == heart()).all()


def test_lv_in_a_ring_with_a_gap_stays_but_the_gap_is_not_filled() -> None:
    labels = heart()
    labels[0, 2, *CAVITY] = VALUE[MYO]  # separates slices 0 and 1 from the others
    labels[0, 1, 11:13, 14:16] = 0  # the gap
    labels[0, 1, 10:14, 12:14] = 0  # an open hole
    assert (clean_up(labels) == labels).all()


def test_a_small_hole_in_the_wall_is_muscle() -> None:
    assert (clean_up(damaged(1, 9, 9)) == heart()).all()
    # In the solid apex it is all the cavity there is.
    assert (clean_up(damaged(5, 12, 12)) == damaged(5, 12, 12, VALUE[LV])).all()


def test_a_ring_cut_by_the_edge_of_the_image_is_open() -> None:
    labels = np.ascontiguousarray(damaged(2, *CAVITY)[..., 12:])
    assert not (clean_up(labels)[0, 2] == VALUE[LV]).any()


def test_a_wall_around_the_rv_does_not_fill_the_rv() -> None:
    labels = heart()
    labels[0, 1:3, 7:17, 2:8] = VALUE[MYO]
    labels[0, 1:3, 9:15, 4:7] = VALUE[RV]
    labels[0, 1:3, 11, 7] = 0
    assert (clean_up(labels)[0, 1:3, 9:15, 4:7] == VALUE[RV]).all()


def test_of_two_rings_the_second_keeps_neither_its_lv_nor_is_it_filled() -> None:
    labels = np.zeros((1, 6, 24, 40), np.uint8)
    labels[..., :24] = heart()
    labels[0, 3:5, 8:16, 16:26] = VALUE[MYO]  # beside the first ring, connected to it
    expected = labels.copy()
    expected[0, 3:5, 10:14, 18:22] = 0
    labels[0, 3:5, 10:14, 18:22] = VALUE[LV]
    assert (clean_up(labels) == expected).all()
    # In a slice without the first ring it lies off the axis.
    labels[0, 4, :, 8:16] = expected[0, 4, :, 8:16] = 0
    assert (clean_up(labels) == expected).all()
    assert (clean_up(expected) == expected).all()


def test_a_pocket_in_the_wall_stays_lv() -> None:
    labels = heart()
    labels[0, 2, 10:14, 12] = VALUE[MYO]  # parts the cavity
    labels[0, 1:4, 10:13, 13] = VALUE[MYO]
    assert labels[0, 2, 13, 13] == VALUE[LV]
    assert (clean_up(labels) == labels).all()


def test_an_unlabelled_cavity_beside_a_stray_pixel_of_lv_is_filled() -> None:
    labels = damaged(2, *CAVITY)
    labels[0, 2, 12, 15] = VALUE[LV]
    assert (clean_up(labels)[0, 2, *CAVITY] == VALUE[LV]).all()


def test_lv_apart_from_the_heart_goes_even_if_it_is_the_largest_piece() -> None:
    labels = heart()
    labels[0, 2, *CAVITY] = VALUE[MYO]
    expected = labels.copy()
    labels[0, 0:4, 16:24, 12:20] = VALUE[LV]  # touches the wall from outside
    assert (clean_up(labels) == expected).all()


def test_lv_below_the_apex_goes_and_lv_above_the_base_stays() -> None:
    labels = heart(9)
    labels[0, 6:, 8:16, 8:16] = 0
    labels[0, 5, 8:16, 8] = 0  # narrower than at the base
    expected = labels.copy()
    labels[0, 6, 11:13, 11:13] = VALUE[LV]
    assert (clean_up(labels) == expected).all()
    assert (clean_up(labels[:, ::-1]) == expected[:, ::-1]).all()
    basal = heart()
    basal[0, 0][basal[0, 0] == VALUE[MYO]] = 0
    assert (clean_up(basal) == basal).all()


def test_the_tip_of_the_wall_stays_where_the_slices_are_shifted() -> None:
    labels = heart()
    labels[0, 5, 8:16, 8:16] = 0
    labels[0, 5, 11:14, 11:14] = VALUE[MYO]  # beneath the LV, beside no other muscle
    assert (clean_up(labels) == labels).all()


def test_frames_without_any_structure_stay() -> None:
    assert not clean_up(np.zeros((2, 3, 8, 8), np.uint8)).any()
    for structure in (RV, MYO, LV):
        labels = np.where(heart() == VALUE[structure], heart(), 0).astype(np.uint8)
        if structure != MYO:
            assert (clean_up(labels) == labels).all()


def test_the_clean_up_does_not_depend_on_the_orientation() -> None:
    labels = damaged(2, *CAVITY)
    labels[0, 1, 11:13, 14:16] = 0
    labels[0, 4, 20, 20] = VALUE[LV]
    expected = clean_up(labels)
    for flip in (
        lambda a: a[:, ::-1],
        lambda a: a[..., ::-1],
        lambda a: a[..., ::-1, :],
        lambda a: a.swapaxes(2, 3),
    ):
        assert (flip(clean_up(flip(labels))) == expected).all()
