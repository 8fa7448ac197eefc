"""The rectangle that a heart fills in a stack of slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, VALUE
from ctct.measurement.components import find_heart
from ctct.measurement.masks import Mask

#: The heart is searched for in every third slice of a volume, from the first on.
SEARCH_STEP = 3

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

    @classmethod
    def around(cls, mask: Mask) -> HeartBox:
        """The box around a mask (H, W), which must not be empty."""
        pixels = np.argwhere(mask)
        (row, column), (last_row, last_column) = pixels.min(0).tolist(), pixels.max(0).tolist()
        return cls((row, column), (last_row, last_column))

    @property
    def center(self) -> tuple[float, float]:
        """Row and column of the middle; halves lie between two pixels."""
        return (self.first[0] + self.last[0]) / 2, (self.first[1] + self.last[1]) / 2

    def extent_mm(self, spacing_mm: tuple[float, float]) -> float:
        """The longer side."""
        pixels = (b - a + 1 for a, b in zip(self.first, self.last, strict=True))
        return max(n * mm for n, mm in zip(pixels, spacing_mm, strict=True))

    def edges_mm(
        self, size: tuple[int, ...], spacing_mm: tuple[float, float]
    ) -> npt.NDArray[np.float64]:
        """(2, 2) the first and last edge, in mm from the center of a slice of ``size``."""
        middle = (np.array(size) - 1) / 2
        edges = np.subtract([self.first, self.last], middle) + np.array([[-0.5], [0.5]])
        return np.asarray(edges * spacing_mm, np.float64)


def heart_box(labels: npt.NDArray[np.uint8]) -> HeartBox | None:
    """The box around the heart; None where there is no LV.

    Args:
        labels: (Z, H, W) label map of one frame, with or without labels elsewhere in the body.
    """
    rv, wall = find_heart(labels)
    if not (labels[wall] == VALUE[LV]).any():
        return None
    return HeartBox.around(np.any(rv | wall, axis=0))


def search_scales(heart_extent_mm: float) -> tuple[float, ...]:
    """Scales at which a heart is searched for, one after the other.

    More than one for models that take every heart at an extent of ``heart_extent_mm``.
    """
    return (1.0, 1.6, 0.7) if heart_extent_mm else (1.0,)


def crop_scale(extent_mm: float, field_mm: float, heart_extent_mm: float) -> float | None:
    """How many times its size a heart has on a crop; None where it does not fit.

    Args:
        extent_mm: of the heart.
        field_mm: side of the crop.
        heart_extent_mm: of every heart on the crop; 0 where they keep their true size.
    """
    shown_mm = heart_extent_mm or extent_mm
    return None if shown_mm + 2 * MARGIN_MM > field_mm else shown_mm / extent_mm
