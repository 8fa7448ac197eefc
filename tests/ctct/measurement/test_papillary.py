"""Papillary muscles count with the structure that is asked for, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest

from ctct.errors import ConfigError
from ctct.measurement.papillary import count_papillary, fill_holes, papillary_remark

WALL, BLOOD = 80.0, 200.0  # halfway is 140


def slice_of(holes: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    """Labels (1, 1, 14, 14): a square cavity of 8 × 8 pixels in a wall of 2 pixels."""
    labels = np.zeros((1, 1, 14, 14), np.uint8)
    labels[..., 1:13, 1:13] = 2
    labels[..., 3:11, 3:11] = 3
    for row, column in holes:
        labels[..., row, column] = 2
    return labels


def image_of(labels: np.ndarray, dark: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    voxels = np.array([20.0, 150.0, WALL, BLOOD], np.float32)[labels]
    for row, column in dark:
        voxels[..., row, column] = 100.0
    return voxels


def counts(labels: np.ndarray) -> tuple[int, int]:
    return int((labels == 2).sum()), int((labels == 3).sum())


DARK = ((4, 4), (4, 5), (5, 4), (8, 8))


def test_dark_pixels_within_the_cavity_count_with_the_myocardium() -> None:
    labels = slice_of()
    counted = count_papillary(labels, image_of(labels, DARK), "myocardium")
    assert counts(labels) == (80, 64)  # 12² - 8², 8²
    assert counts(counted) == (84, 60)
    assert all(counted[0, 0, row, column] == 2 for row, column in DARK)


def test_muscle_labelled_within_the_cavity_counts_with_it() -> None:
    labels = slice_of(holes=DARK)
    counted = count_papillary(labels, image_of(labels), "cavity")
    assert counts(labels) == (84, 60)
    assert counts(counted) == (80, 64)


def test_a_muscle_that_is_labelled_and_bright_counts_with_the_myocardium_still() -> None:
    labels = slice_of(holes=((5, 5),))
    voxels = image_of(slice_of())
    assert counts(count_papillary(labels, voxels, "myocardium")) == (81, 63)


def test_nothing_else_changes() -> None:
    labels = slice_of()
    labels[..., 0, :] = 1
    before = labels.copy()
    counted = count_papillary(labels, image_of(labels, DARK), "myocardium")
    assert (labels == before).all()
    assert ((counted == 1) == (labels == 1)).all()
    assert ((counted == 0) == (labels == 0)).all()
    assert count_papillary(labels, image_of(labels), "labels") is labels


@pytest.mark.parametrize("kind", ["dark blood", "no wall", "one gray value"])
def test_a_slice_whose_brightness_tells_nothing_stays(kind: str) -> None:
    labels = slice_of()
    voxels = image_of(labels, DARK)
    if kind == "dark blood":
        voxels = -voxels
    elif kind == "no wall":
        labels[labels == 2] = 0
    else:
        voxels[:] = 7
    assert (count_papillary(labels, voxels, "myocardium") == labels).all()


def test_each_slice_has_its_own_threshold() -> None:
    """Coils make near slices brighter than far ones."""
    labels = np.concatenate([slice_of(), slice_of()], axis=1)
    voxels = image_of(labels, DARK)
    voxels[:, 1] *= 3  # wall 240, blood 600, muscles 300: all above the other slice's 140
    assert counts(count_papillary(labels, voxels, "myocardium")) == (2 * 84, 2 * 60)


def test_a_hole_is_filled_and_a_bay_is_not() -> None:
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    mask[0, 1] = False
    assert np.argwhere(~fill_holes(mask)).tolist() == [[0, 1]]


def test_other_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of labels, cavity, myocardium"):
        count_papillary(slice_of(), image_of(slice_of()), "muscle")


def test_the_remark_says_what_was_counted_with_what() -> None:
    assert papillary_remark("labels") == {}
    assert papillary_remark("cavity") == {"papillary muscles": "counted with the cavity"}
