from __future__ import annotations

import numpy as np

from ctct.measurement.regions import region_of_slices


def stack(*sides: int) -> np.ndarray:
    """A square of myocardium of each side length, a slice each."""
    labels = np.zeros((len(sides), 12, 12), np.uint8)
    for z, side in enumerate(sides):
        labels[z, :side, :side] = 2
    return labels


def test_thirds_from_the_wide_end_whichever_way_the_file_goes() -> None:
    expected = ["", "base", "base", "mid", "mid", "apex", "apex", ""]
    labels = stack(0, 9, 9, 8, 7, 5, 2, 0)
    assert region_of_slices(labels) == expected
    assert region_of_slices(labels[::-1]) == expected[::-1]


def test_slices_that_do_not_share_out_evenly_go_where_their_center_lies() -> None:
    # Centers at 1/8, 3/8, 5/8, 7/8 of the length; the thirds end at 1/3 and 2/3.
    assert region_of_slices(stack(9, 8, 7, 3)) == ["base", "mid", "mid", "apex"]


def test_a_gap_within_belongs_to_the_ventricle_and_no_ventricle_has_no_region() -> None:
    assert region_of_slices(stack(9, 0, 5)) == ["base", "mid", "apex"]
    assert region_of_slices(stack(0, 0)) == ["", ""]
    assert region_of_slices(np.ones((2, 4, 4), np.uint8)) == ["", ""]  # RV alone
