"""Neighbors of the pixels of a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

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
