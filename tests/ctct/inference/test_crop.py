from __future__ import annotations

import numpy as np
import pytest

from ctct.inference.crop import (
    Crop,
    centered_crop,
    heart_crop,
    moved_crop,
    other_places,
    reaches_beyond,
    touches_edge,
    visible_crop,
)
from ctct.measurement.heart_box import HeartBox

GRID = {"size": 160, "spacing_mm": 1.5}
SMALL = {"size": 96, "spacing_mm": 1.5}


@pytest.mark.parametrize(
    ("pixels", "spacing_mm", "expected"),
    [
        # The outermost points of the grid are 159 × 1.5 = 238.5 mm apart, and one step of 1.5 mm
        # further out on both sides makes 241.5 mm: 161 pixels of 1.5 mm, up to a multiple of 16.
        (256, 1.5, 176),
        (257, 1.5, 161),  # odd stays odd: the center lies on a pixel
        # 238.5 mm are 79.5 pixels of 3 mm; one pixel on both sides makes 82.
        (256, 3.0, 96),
        (160, 1.5, 160),  # smaller than what the grid sees
        (100, 1.5, 112),
        (97, 1.5, 97),
        (512, 0.5, 496),  # 483
    ],
)
def test_visible_extent_of_a_grid(pixels: int, spacing_mm: float, expected: int) -> None:
    crop = visible_crop((pixels, 160), (spacing_mm, 1.5), GRID)
    assert crop == Crop(((pixels - expected) // 2, 0), (expected, 160))


def test_of_an_unknown_grid_nothing_is_changed() -> None:
    assert visible_crop((217, 100), (1.5, 1.5), None) == Crop((0, 0), (217, 100))


def test_a_crop_cuts_and_fills_with_zeros() -> None:
    array = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert centered_crop((2, 4), (4, 2)).cut(array).tolist() == [[0, 0], [2, 3], [6, 7], [0, 0]]
    assert Crop((1, -1), (2, 3)).cut(array).tolist() == [[0, 5, 6], [0, 0, 0]]
    assert np.shares_memory(Crop((0, 1), (2, 2)).cut(array), array)


def test_what_was_cut_goes_back_to_its_place() -> None:
    array = np.arange(2 * 5 * 8).reshape(2, 5, 8)
    for crop in (centered_crop((5, 8), (17, 16)), Crop((1, -3), (4, 6)), Crop((0, 0), (5, 8))):
        there = np.full_like(array, -1)
        crop.paste(crop.cut(array), there)
        rows = slice(max(crop.start[0], 0), crop.start[0] + crop.size[0])
        columns = slice(max(crop.start[1], 0), crop.start[1] + crop.size[1])
        assert (there[:, rows, columns] == array[:, rows, columns]).all()
        assert (there == -1).sum() == there.size - there[:, rows, columns].size


def heart(rows: slice, columns: slice) -> np.ndarray:
    labels = np.zeros((2, 200, 200), np.uint8)
    labels[1, rows, columns] = 3
    return labels


def test_a_heart_crop_lies_around_the_heart() -> None:
    # Rows 40 to 79, columns 101 to 150: the middle is pixel (59.5, 125.5). The grid sees 95 × 1.5
    # mm and a pixel of 1.5 mm on both sides, 97 pixels, up to 112; in columns of 2 mm 74, up to 80.
    labels = heart(slice(40, 80), slice(101, 151))
    labels[0, 5, 5] = 3  # not of the heart
    assert heart_crop(labels, (1.5, 2.0), SMALL) == Crop((4, 86), (112, 80), on_heart=True)


def test_a_heart_crop_may_begin_outside_the_slice() -> None:
    crop = heart_crop(heart(slice(10, 50), slice(100, 140)), (1.5, 1.5), SMALL)
    assert crop is not None
    assert crop.start == (-26, 64)  # the middle 29.5, half of 112 above it


def test_a_heart_that_needs_the_whole_grid() -> None:
    # 88 pixels are 132 mm, for which the grid's 144 have room and twice 6 beside; 89 are 133.5.
    assert heart_crop(heart(slice(40, 128), slice(90, 100)), (1.5, 1.5), SMALL) is not None
    assert heart_crop(heart(slice(40, 129), slice(90, 100)), (1.5, 1.5), SMALL) is None


def test_a_model_that_takes_hearts_of_one_size() -> None:
    # 40 pixels of 1 mm, wanted as 100 mm: the graph is told 2.5 mm. It sees 95 × 1.5 mm and 2.5 mm
    # on both sides, 147.5 mm or 59 pixels, up to 64. The middle is pixel (59.5, 109.5).
    grid = SMALL | {"heart_extent_mm": 100.0}
    crop = heart_crop(heart(slice(40, 80), slice(95, 125)), (1.0, 1.0), grid)
    assert crop == Crop((28, 78), (64, 64), on_heart=True, scale=2.5)
    large = heart_crop(heart(slice(0, 180), slice(0, 200)), (1.0, 1.0), grid)
    assert large is not None
    assert large.scale == 0.5
    # The 96 pixels of 1.5 mm are 57.6 of 1 mm as the graph is told: rows 31 to 88 of the slice.
    labels = np.zeros((2, 200, 200), np.uint8)
    labels[0, 60, 110] = labels[1, 31, 110] = 1
    assert touches_edge(labels, crop, (1.0, 1.0), grid).tolist() == [False, True]


def test_no_heart_no_heart_crop() -> None:
    assert heart_crop(np.zeros((2, 200, 200), np.uint8), (1.5, 1.5), SMALL) is None
    without_lv = heart(slice(40, 60), slice(90, 100)) // 3  # RV alone
    assert heart_crop(without_lv, (1.5, 1.5), SMALL) is None


def test_labels_at_the_edge_of_a_heart_crop() -> None:
    # 112 pixels from row 10 and column 20, the grid's 96 in their middle: rows 18 to 113, columns
    # 28 to 123. The last two of these are too near.
    crop = Crop((10, 20), (112, 112), on_heart=True)
    labels = np.zeros((5, 200, 200), np.uint8)
    for at, (row, column) in enumerate([(20, 60), (19, 60), (60, 121), (60, 122), (0, 0)]):
        labels[at, row, column] = 1
    touched = touches_edge(labels, crop, (1.5, 1.5), SMALL)
    assert touched.tolist() == [False, True, False, True, False]


def test_a_moved_crop_shows_as_much_as_the_grid_also_beyond_the_slice() -> None:
    # 159 x 1.5 mm and a pixel of 1.5 mm on both sides are 161 pixels, up to 176.
    assert moved_crop((10.0, 200.5), (1.5, 1.5), GRID) == Crop((-78, 113), (176, 176))


def test_a_heart_reaches_beyond_the_grid_only_where_the_slice_goes_on() -> None:
    # Slices of 300 mm, of which the grid shows 240: from row 30 on. Within 117 mm of the middle
    # (149.5) all is well, from row 33 on.
    crop = visible_crop((300, 300), (1.0, 1.0), GRID)
    inside, outside = HeartBox((33, 100), (90, 180)), HeartBox((32, 100), (90, 180))
    assert not reaches_beyond(inside, crop, (300, 300), (1.0, 1.0), GRID)
    assert reaches_beyond(outside, crop, (300, 300), (1.0, 1.0), GRID)
    # The same heart at the upper edge of slices of 236 mm, which the grid shows wholly.
    crop = visible_crop((236, 300), (1.0, 1.0), GRID)
    at_edge = HeartBox((0, 100), (58, 180))
    assert not reaches_beyond(at_edge, crop, (236, 300), (1.0, 1.0), GRID)
    assert not reaches_beyond(outside, crop, (300, 300), (1.0, 1.0), None)
    assert not reaches_beyond(outside, crop, (300, 300), (1.0, 1.0), GRID | {"stretch": True})


def test_other_places_show_the_slices_up_to_their_edges() -> None:
    # 300 mm are 60 more than the grid shows, 30 on each side; 200 mm are all seen. 30 mm up and
    # down are 20 rows of 1.5 mm.
    places = other_places((200, 200), (1.5, 1.0), GRID)
    assert places == [moved_crop((row, 99.5), (1.5, 1.0), GRID) for row in (99.5 - 20, 99.5 + 20)]
    assert other_places((160, 160), (1.5, 1.5), GRID) == []
    assert len(other_places((400, 200), (1.0, 1.5), GRID)) == 8
    assert len(other_places((2000, 2000), (5.0, 5.0), GRID)) == 24  # no body is so large
