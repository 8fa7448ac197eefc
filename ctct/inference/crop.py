"""The rectangle of a slice that the networks get.

The networks' grid is centered on the rectangle, and beyond a slice everything is zero. So a
rectangle around the middle of the slice may be cut down to the extent visible to the grid, or
padded with zeros, without any change of the answer. A heart beyond that extent is seen once the
rectangle is moved.

The heart fills a part of that, at nearly the same place in all slices and frames. Once a few slices
have shown where it is, the others only need a crop around it, for a smaller grid of the same
spacing, if the model has a graph for that. Some models want hearts of one size there: then the
graph is told another pixel spacing than the true one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.measurement.heart_box import HeartBox, crop_scale, heart_box

#: Sizes are rounded up to a multiple of this, or one more, so that most studies share batches.
STEP = 16

#: Rows or columns of the grid at its edge: labels that reach them may go on beyond it.
_EDGE = 2
#: Most places on either side of the middle of a slice at which a heart is looked for.
_MAX_PLACES = 2


@dataclass(frozen=True)
class Crop:
    """A rectangle of every slice.

    Attributes:
        start: its first row and column; negative where it begins outside the slice.
        size: its rows and columns.
        on_heart: whether it is for the graph for heart crops, or for that of whole slices.
        scale: the pixel spacing that the graph is told, relative to the true one; above 1, a heart
            looks larger than it is.
    """

    start: tuple[int, int]
    size: tuple[int, int]
    on_heart: bool = False
    scale: float = 1.0

    def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rectangle (…, *size) of ``array`` (…, H, W), zero beyond it."""
        (rows, columns), target = self._overlap(array.shape)
        if target == (slice(0, self.size[0]), slice(0, self.size[1])):
            return array[..., rows, columns]
        out = np.zeros((*array.shape[:-2], *self.size), array.dtype)
        out[..., target[0], target[1]] = array[..., rows, columns]
        return out

    def paste(self, rectangle: npt.NDArray[Any], array: npt.NDArray[Any]) -> None:
        """Put ``rectangle`` (…, *size) where it was cut from; the rest of ``array`` stays."""
        (rows, columns), source = self._overlap(array.shape)
        array[..., rows, columns] = rectangle[..., source[0], source[1]]

    def _overlap(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Rows and columns in both an array of that shape and the rectangle, counted in each."""
        low = [max(start, 0) for start in self.start]
        high = [
            min(s + size, n) for s, size, n in zip(self.start, self.size, shape[-2:], strict=True)
        ]
        in_array = (slice(low[0], high[0]), slice(low[1], high[1]))
        row, column = self.start
        in_crop = (slice(low[0] - row, high[0] - row), slice(low[1] - column, high[1] - column))
        return in_array, in_crop


def centered_crop(native: tuple[int, ...], size: tuple[int, ...]) -> Crop:
    """The crop of that size about the middle of slices of ``native`` rows and columns.

    Both must be even, or both odd, along each axis.
    """
    start = [(n - m) // 2 for n, m in zip(native, size, strict=True)]
    return Crop((start[0], start[1]), (size[0], size[1]))


def visible_extent(spacing_mm: float, grid: Mapping[str, Any]) -> int:
    """Number of rows, or columns, that have an influence on the answer of a grid.

    Args:
        spacing_mm: distance between them.
        grid: ``size`` and ``spacing_mm`` of the networks' grid.
    """
    size, grid_mm = int(grid["size"]), float(grid["spacing_mm"])
    # The outermost points of the grid lie (size - 1) / 2 steps from the center. They are made from
    # pixels up to one pixel further out, and pixels up to one step further out are made from them.
    return math.ceil((size - 1) * grid_mm / spacing_mm + 2 * max(grid_mm / spacing_mm, 1.0))


def visible_crop(
    native: tuple[int, ...],
    spacing_mm: tuple[float, float],
    grid: Mapping[str, Any] | None,
    scale: float = 1.0,
) -> Crop:
    """The crop of the extent visible to a grid.

    Whole slices where the grid is unknown, or slices are stretched to it.
    """
    if grid is None or grid.get("stretch"):
        return centered_crop(native, native)
    sizes = []
    for pixels, mm in zip(native, spacing_mm, strict=True):
        odd = pixels % 2
        sizes.append(_rounded(min(visible_extent(scale * mm, grid), pixels) - odd) + odd)
    return replace(centered_crop(native, tuple(sizes)), scale=scale)


def moved_crop(
    center: tuple[float, float],
    spacing_mm: tuple[float, float],
    grid: Mapping[str, Any],
    scale: float = 1.0,
    on_heart: bool = False,
) -> Crop:
    """The crop of the extent visible to a grid about a row and column, also beyond the slice."""
    size = [_rounded(visible_extent(scale * mm, grid)) for mm in spacing_mm]
    row, column = (round(at - (n - 1) / 2) for at, n in zip(center, size, strict=True))
    return Crop((row, column), (size[0], size[1]), on_heart, scale)


def reaches_beyond(
    box: HeartBox,
    crop: Crop,
    native: tuple[int, ...],
    spacing_mm: tuple[float, float],
    grid: Mapping[str, Any] | None,
) -> bool:
    """Whether a heart reaches the edge of what a grid shows of slices that go on beyond it.

    Args:
        box: the heart's.
        crop: for the grid.
        native: rows and columns of the slices.
        spacing_mm: (row, column).
        grid: ``size`` and ``spacing_mm``; None or stretched where it shows whole slices.
    """
    if grid is None or grid.get("stretch"):
        return False
    half_mm = grid["size"] * grid["spacing_mm"] / 2
    for axis, mm in enumerate(spacing_mm):
        middle = crop.start[axis] + (crop.size[axis] - 1) / 2
        for edge, end in ((box.first[axis], 0), (box.last[axis], native[axis] - 1)):
            heart_mm, slice_mm = (abs(at - middle) * mm * crop.scale for at in (edge, end))
            if heart_mm > half_mm - _EDGE * grid["spacing_mm"] and slice_mm > half_mm:
                return True
    return False


def other_places(
    native: tuple[int, ...], spacing_mm: tuple[float, float], grid: Mapping[str, Any] | None
) -> list[Crop]:
    """Crops that show what the one about the middle of the slices does not, the nearest first.

    Together they show the slices up to their edges, or up to 1.5 times the side of the grid from
    the middle.
    """
    if grid is None or grid.get("stretch"):
        return []
    half_mm = grid["size"] * grid["spacing_mm"] / 2
    offsets_mm = []
    for pixels, mm in zip(native, spacing_mm, strict=True):
        hidden_mm = max(pixels * mm / 2 - half_mm, 0.0)
        count = min(math.ceil(hidden_mm / half_mm), _MAX_PLACES)
        step_mm = min(hidden_mm / max(count, 1), half_mm)
        offsets_mm.append([n * step_mm for n in range(-count, count + 1)])
    places = [(row, column) for row in offsets_mm[0] for column in offsets_mm[1] if row or column]
    places.sort(key=lambda place: place[0] ** 2 + place[1] ** 2)
    middle = [(n - 1) / 2 for n in native]
    return [
        moved_crop(
            (middle[0] + row / spacing_mm[0], middle[1] + column / spacing_mm[1]), spacing_mm, grid
        )
        for row, column in places
    ]


def heart_crop(
    labels: npt.NDArray[np.uint8], spacing_mm: tuple[float, float], grid: Mapping[str, Any]
) -> Crop | None:
    """The crop around the heart for a smaller grid.

    Args:
        labels: (Z, H, W) of slices of one frame, in their order, without clean-up.
        spacing_mm: (row, column).
        grid: ``size`` and ``spacing_mm`` of the grid, and ``heart_extent_mm``, to which all hearts
            are scaled, if they are.

    Returns:
        None where there is no heart, or it does not fit.
    """
    box = heart_box(labels)
    if box is None:
        return None
    field_mm = grid["size"] * grid["spacing_mm"]
    scale = crop_scale(box.extent_mm(spacing_mm), field_mm, grid.get("heart_extent_mm", 0.0))
    if scale is None:
        return None
    return moved_crop(box.center, spacing_mm, grid, scale, on_heart=True)


def touches_edge(
    labels: npt.NDArray[np.uint8],
    crop: Crop,
    spacing_mm: tuple[float, float],
    grid: Mapping[str, Any],
) -> npt.NDArray[np.bool_]:
    """(N,) which of ``labels`` (N, H, W) reach the last two rows or columns of the grid."""
    rectangle = crop.cut(labels) > 0
    near = []
    for n, mm in zip(crop.size, spacing_mm, strict=True):
        from_center_mm = np.abs(np.arange(n) - (n - 1) / 2) * mm * crop.scale
        near.append(from_center_mm > (grid["size"] / 2 - _EDGE) * grid["spacing_mm"])
    above_or_below, beside = rectangle[:, near[0]], rectangle[:, :, near[1]]
    return np.logical_or(above_or_below.any(axis=(1, 2)), beside.any(axis=(1, 2)))


def _rounded(pixels: int) -> int:
    return math.ceil(pixels / STEP) * STEP
