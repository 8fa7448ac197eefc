"""The rectangle that a heart fills in a stack of slices."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt

from ctct.labels import LV, STRUCTURES, VALUE, bounding_box
from ctct.measurement.masks import Mask

#: The heart is searched for in every third slice of a volume, from the first on.
SEARCH_STEP = 3

#: Scales at which a model that takes hearts of one size searches for it, one after the other.
SEARCH_SCALES = (1.0, 1.6, 0.7)

#: Room that a crop around the heart must leave on each side of it.
MARGIN_MM = 6.0


@dataclass(frozen=True)
class HeartBox:
    """The smallest rectangle around a heart, over all its slices.

    Attributes:
        first: first row and column.
        last: last row and column.
    """

    first: tuple[int, int]
    last: tuple[int, int]

    @property
    def center(self) -> tuple[float, float]:
        """Row and column of the middle; halves lie between two pixels."""
        return (self.first[0] + self.last[0]) / 2, (self.first[1] + self.last[1]) / 2

    def extent_mm(self, spacing_mm: tuple[float, float]) -> float:
        """The longer side."""
        pixels = (b - a + 1 for a, b in zip(self.first, self.last, strict=True))
        return max(n * mm for n, mm in zip(pixels, spacing_mm, strict=True))


def heart_box(labels: npt.NDArray[np.uint8]) -> HeartBox | None:
    """The box of the largest component of each structure; None where there is no LV.

    Args:
        labels: (Z, H, W) label map of one frame.
    """
    heart = keep_largest_components(labels[None])[0]
    if not (heart == VALUE[LV]).any():
        return None
    pixels = np.argwhere(heart.any(0))
    (row, column), (last_row, last_column) = pixels.min(0).tolist(), pixels.max(0).tolist()
    return HeartBox((row, column), (last_row, last_column))


def keep_largest_components(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Keep the largest 3-D component of each structure in each frame; the rest is background.

    Args:
        labels: (T, Z, H, W) label map.

    Returns:
        A new array of the same shape. Voxels that touch at a corner are connected.
    """
    kept = np.zeros_like(labels)
    rows, columns = bounding_box(labels)
    cut = np.ascontiguousarray(labels[..., rows, columns])
    for frame, out in zip(cut, kept[..., rows, columns], strict=True):
        for structure in STRUCTURES:
            out[largest_component(frame == VALUE[structure])] = VALUE[structure]
    return kept


def largest_component(mask: Mask) -> Mask:
    """The largest 3-D component of a mask (Z, H, W)."""
    components, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    if count <= 1:
        return mask
    largest: Mask = components == np.bincount(components.ravel())[1:].argmax() + 1
    return largest
