"""Cleaning up label maps."""

from __future__ import annotations

import cc3d
import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE, bounding_box
from ctct.measurement.masks import Mask, count_sides
from ctct.measurement.regions import APEX, region_of_slices

#: A pixel with myocardium on so many of its four sides lies within the ring, which may have a gap.
_MIN_SIDES = 3


def clean_up(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Remove from each frame what is not part of the heart, and fill the ring of myocardium.

    The largest 3-D component of the RV stays, and that of LV and myocardium, taken as one. In the
    latter, of the LV its main piece and all pieces within the ring of myocardium stay, connected or
    not. Then the holes that the myocardium encloses in a slice are filled: a cavity with LV, and a
    hole that holds no LV, beside a larger cavity, with myocardium. One that holds more RV than LV
    stays as it is. Below the apex, LV in slices without myocardium is removed.

    Args:
        labels: (T, Z, H, W) label map.

    Returns:
        A new array of the same shape. Voxels that touch at a corner are connected.
    """
    cleaned = np.zeros_like(labels)
    rows, columns = bounding_box(labels)
    cut = np.ascontiguousarray(labels[..., rows, columns])
    for frame, out in zip(cut, cleaned[..., rows, columns], strict=True):
        rv = _largest(frame == VALUE[RV])
        wall = _largest(np.isin(frame, (VALUE[MYO], VALUE[LV])))
        muscle = wall & (frame == VALUE[MYO])
        lv = _pieces_within(muscle, rv, wall & (frame == VALUE[LV]))
        for structure, mask in zip(STRUCTURES, (rv, muscle, lv), strict=True):
            out[mask] = VALUE[structure]
        for slice_ in out:
            _fill_ring(slice_)
        _remove_below_apex(out)
    return cleaned


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
            out[_largest(frame == VALUE[structure])] = VALUE[structure]
    return kept


def _largest(mask: Mask) -> Mask:
    """The largest 3-D component of a mask (Z, H, W)."""
    components, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    if count <= 1:
        return mask
    largest: Mask = components == np.bincount(components.ravel())[1:].argmax() + 1
    return largest


def _pieces_within(muscle: Mask, rv: Mask, lv: Mask) -> Mask:
    """The 3-D components of ``lv`` that lie mostly within the ring, and the main one in any case.

    The main one has the most voxels within the ring, or is the largest where none has any.
    """
    pieces, count = cc3d.connected_components(lv, connectivity=26, return_N=True)
    if count <= 1:
        return lv
    within = (count_sides(muscle) >= _MIN_SIDES) & (count_sides(rv) < _MIN_SIDES)
    size = np.bincount(pieces[lv], minlength=count + 1)
    inside = np.bincount(pieces[lv & within], minlength=count + 1)
    stays = 2 * inside > size
    stays[np.lexsort((size, inside))[-1]] = True
    kept: Mask = stays[pieces]
    return kept


def _fill_ring(slice_: npt.NDArray[np.uint8]) -> None:
    """Fill the holes that the myocardium encloses in a slice (H, W), in place."""
    holes = _holes(slice_ == VALUE[MYO])
    for hole in sorted(holes, key=np.count_nonzero, reverse=True):
        is_lv, is_rv = (np.count_nonzero(slice_[hole] == VALUE[s]) for s in (LV, RV))
        is_cavity = is_lv or np.count_nonzero(hole) > np.count_nonzero(slice_ == VALUE[LV])
        if is_rv <= is_lv:
            slice_[hole] = VALUE[LV] if is_cavity else VALUE[MYO]


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
