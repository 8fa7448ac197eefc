"""Neighbors of the pixels of a mask, and slices without a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

#: A pixel with myocardium on so many of its four sides lies within the ring, which may have a gap.
MIN_SIDES = 3

#: Row and column of a pixel's four neighbors, relative to it.
_NEIGHBORS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def shift_to_neighbors(mask: Mask) -> list[Mask]:
    """The mask (…, H, W) moved by one pixel in each of four directions.

    So each of the four says whether a pixel's neighbor in that direction belongs to the mask.
    Beyond the edge of the image nothing does.
    """
    rows, columns = mask.shape[-2:]
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(1, 1), (1, 1)])
    return [
        padded[..., 1 + row : 1 + row + rows, 1 + column : 1 + column + columns]
        for row, column in _NEIGHBORS
    ]


def count_sides(mask: Mask) -> npt.NDArray[np.uint8]:
    """On how many of its four sides, along its row and column, a pixel has the mask, near or far.

    Args:
        mask: (…, H, W).

    Returns:
        (…, H, W), 0 to 4; 4 for the pixels of the mask.
    """
    sides = np.zeros(mask.shape, np.uint8)
    for axis in (-2, -1):
        sides += np.logical_or.accumulate(mask, axis)
        sides += np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
    return sides


def has_picture(voxels: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which slices (…) of ``voxels`` (…, H, W) hold more than one gray value."""
    return np.asarray(np.ptp(voxels, axis=(-2, -1)) > 0)
