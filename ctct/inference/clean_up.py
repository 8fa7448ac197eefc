"""Cleaning up label maps."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE, frames_in_box
from ctct.measurement.components import find_heart
from ctct.measurement.masks import MIN_SIDES, Mask, count_sides
from ctct.measurement.regions import APEX, region_of_slices

#: Beside the cavity, in the same slice, a space of more than this share of it is not a part of the
#: same ring.
_MAX_POCKET = 0.25


def clean_up(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Remove from each frame what is not part of the heart, and fill the ring of myocardium.

    One 3-D component of LV and myocardium, taken as one, stays, and one of the RV beside it (see
    :func:`~ctct.measurement.components.find_heart`). In the former, of the LV its main piece
    stays, and further pieces within the ring of myocardium that lie above or below it or, as small
    pockets, beside it. Then holes in the ring are filled: a cavity with LV, and a small hole that
    holds no LV, beside the cavity, with myocardium. Other holes stay, those with more RV than LV
    among them. Below the apex, LV in slices without myocardium is removed.

    Args:
        labels: (T, Z, H, W) label map.

    Returns:
        A new array of the same shape. Voxels that touch at a corner are connected.
    """
    cleaned = np.zeros_like(labels)
    for frame, out in frames_in_box(labels, cleaned):
        rv, wall = find_heart(frame)
        muscle, blood = (wall & (frame == VALUE[s]) for s in (MYO, LV))
        main, others = _pieces_within(muscle, rv, blood)
        axis = _Axis.of(main, wall)
        lv = main.copy()
        for piece in others:
            if axis.passes(piece) and _is_pocket(piece, main):
                lv |= piece
        for structure, mask in zip(STRUCTURES, (rv, muscle, lv), strict=True):
            out[mask] = VALUE[structure]
        for slice_, removed in zip(out, blood & ~lv, strict=True):
            _fill_ring(slice_, removed, axis)
        _remove_below_apex(out)
    return cleaned


@dataclass(frozen=True)
class _Axis:
    """The long axis of the LV, taken as perpendicular to the slices.

    Attributes:
        center: (row, column).
        radius: mean radius of the LV with its wall, in pixels; infinite without an LV.
    """

    center: npt.NDArray[np.float64]
    radius: float

    @classmethod
    def of(cls, main: Mask, wall: Mask) -> _Axis:
        """From the main piece (Z, H, W) of the LV, and the LV with its wall."""
        if not main.any():
            return cls(np.zeros(2), np.inf)
        area = wall[main.any(axis=(1, 2))].sum(axis=(1, 2)).mean()
        return cls(_center(main), float(np.sqrt(area / np.pi)))

    def passes(self, mask: Mask) -> bool:
        """Whether the center of a mask (…, H, W) lies within the radius."""
        return bool(np.linalg.norm(_center(mask) - self.center) <= self.radius)


def _center(mask: Mask) -> npt.NDArray[np.float64]:
    """Mean row and column of a mask (…, H, W)."""
    center: npt.NDArray[np.float64] = np.argwhere(mask)[:, -2:].mean(axis=0)
    return center


def _pieces_within(muscle: Mask, rv: Mask, blood: Mask) -> tuple[Mask, list[Mask]]:
    """The main 3-D component of ``blood``, and the others that lie mostly within the ring.

    The main one has the most voxels within the ring, or is the largest where none has any.
    """
    pieces, count = cc3d.connected_components(blood, connectivity=26, return_N=True)
    if count <= 1:
        return blood, []
    within = (count_sides(muscle) >= MIN_SIDES) & (count_sides(rv) < MIN_SIDES)
    size = np.bincount(pieces[blood], minlength=count + 1)
    inside = np.bincount(pieces[blood & within], minlength=count + 1)
    main = np.lexsort((size, inside))[-1]
    others = np.flatnonzero(2 * inside > size)
    return pieces == main, [pieces == n for n in others if n != main]


def _is_pocket(piece: Mask, main: Mask) -> bool:
    """Whether a piece (Z, H, W) is small beside the main one, in the slices that hold both."""
    shared = piece.any(axis=(1, 2)) & main.any(axis=(1, 2))
    beside, cavity = np.count_nonzero(piece[shared]), np.count_nonzero(main[shared])
    return bool(beside <= _MAX_POCKET * cavity)


def _fill_ring(slice_: npt.NDArray[np.uint8], removed: Mask, axis: _Axis) -> None:
    """Fill the holes that the myocardium encloses in a slice (H, W), in place.

    Holes stay that hold more RV than LV, from which LV was ``removed``, or off the axis.
    """
    for hole in sorted(_holes(slice_ == VALUE[MYO]), key=np.count_nonzero, reverse=True):
        is_lv, is_rv = (np.count_nonzero(slice_[hole] == VALUE[s]) for s in (LV, RV))
        cavity = np.count_nonzero(slice_ == VALUE[LV])
        if is_rv > is_lv or removed[hole].any():
            continue
        size = np.count_nonzero(hole)
        if is_lv or (size > cavity and axis.passes(hole)):
            slice_[hole] = VALUE[LV]
        elif size <= _MAX_POCKET * cavity:
            slice_[hole] = VALUE[MYO]


def _holes(mask: Mask) -> list[Mask]:
    """The holes of a mask (H, W): a gap at a corner does not open them, one at the edge does."""
    outside = np.pad(~mask, 1, constant_values=True)
    components, count = cc3d.connected_components(outside, connectivity=4, return_N=True)
    beyond = components[0, 0]
    inner = components[1:-1, 1:-1]
    return [inner == n for n in range(1, count + 1) if n != beyond]


def _remove_below_apex(frame: npt.NDArray[np.uint8]) -> None:
    """Remove LV beyond the last slice (Z, H, W) with myocardium at the apex, in place."""
    with_muscle = np.flatnonzero((frame == VALUE[MYO]).any(axis=(1, 2)))
    regions = region_of_slices(frame[with_muscle])
    if APEX not in regions:
        return
    beyond = frame[: with_muscle[0]] if regions[0] == APEX else frame[with_muscle[-1] + 1 :]
    beyond[beyond == VALUE[LV]] = 0
