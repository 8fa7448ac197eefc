from __future__ import annotations

import numpy as np
import pytest

from ctct.io.orientation import Orientation, find_orientation

#: Columns, rows and slices of scans as three scanners stored them (LPS): two GE, one Siemens.
SCANNERS = [
    [(0.712, 0.701, -0.034), (-0.308, 0.268, -0.913), (-0.631, 0.661, 0.406)],
    [(0.693, 0.674, 0.256), (0.022, 0.335, -0.942), (-0.720, 0.659, 0.218)],
    [(0.792, 0.000, 0.610), (0.378, 0.786, -0.490), (-0.480, 0.619, 0.622)],
]

#: Every way to store slices: rows and columns exchanged or not, each axis forwards or backwards.
WAYS = [
    Orientation(transposed, axes)
    for transposed in (False, True)
    for axes in ((), (-1,), (-2,), (-2, -1), (-3,), (-3, -1), (-3, -2), (-3, -2, -1))
]


def make_affine(axes: list[tuple[float, float, float]]) -> np.ndarray:
    """Affine (RAS+) of voxels of 1.2 x 1.5 x 8 mm whose axes are given in LPS."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ np.transpose(axes) * [1.2, 1.5, 8]
    return affine


def stored(affine: np.ndarray, way: Orientation) -> np.ndarray:
    """The affine of the same slices stored another way."""
    columns, rows, slices = affine[:3, :3].T
    signs = [-1 if axis in way.reversed_axes else 1 for axis in (-1, -2, -3)]
    columns, rows, slices = columns * signs[0], rows * signs[1], slices * signs[2]
    turned = np.eye(4)
    turned[:3, :3] = np.transpose(
        [rows, columns, slices] if way.transposed else [columns, rows, slices]
    )
    return turned


@pytest.mark.parametrize("axes", SCANNERS)
def test_slices_as_scanners_store_them_stay(axes: list[tuple[float, float, float]]) -> None:
    assert find_orientation(make_affine(axes)) == Orientation()


@pytest.mark.parametrize("axes", SCANNERS)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_store_slices_is_found(
    axes: list[tuple[float, float, float]], way: Orientation
) -> None:
    assert find_orientation(stored(make_affine(axes), way)) == way


@pytest.mark.parametrize("way", WAYS)
def test_the_way_back_is_the_inverse(way: Orientation) -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert (way.to_usual(way.to_stored(array)) == array).all()
    assert (way.to_stored(way.to_usual(array)) == array).all()


def test_to_usual_by_hand() -> None:
    # One slice of two rows and three columns.
    found = Orientation(True, (-1,)).to_usual(np.array([[[1, 2, 3], [4, 5, 6]]]))
    assert found.tolist() == [[[4, 1], [5, 2], [6, 3]]]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1)])
def test_an_affine_along_the_axes_says_nothing(
    signs: tuple[float, float, float], way: Orientation
) -> None:
    affine = np.diag([*np.multiply(signs, (1.4, 1.4, 8)), 1])
    assert find_orientation(stored(affine, way)) == Orientation()


def test_other_planes_and_damaged_affines_say_nothing() -> None:
    axial_oblique = [(0.9, 0.436, 0.0), (-0.436, 0.9, 0.0), (0.0, 0.0, 1.0)]
    assert find_orientation(make_affine(axial_oblique)) == Orientation()
    assert find_orientation(np.zeros((4, 4))) == Orientation()


def test_a_single_slice_has_an_orientation() -> None:
    affine = stored(make_affine(SCANNERS[0]), Orientation(True, (-2,)))
    affine[:3, 2] = 0  # no step to a next slice
    assert find_orientation(affine) == Orientation(True, (-2,))
