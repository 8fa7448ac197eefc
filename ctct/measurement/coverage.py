"""Whether a stack of slices covers one heart, once, from base to apex.

A label map of a part of a heart, or of two, is as good as any other; only the area of the LV and
its wall along the stack tells. The limits leave a margin to 160 frames of 80 ACDC patients and to
the 104 frames of 26 children (CHLA), segmented with the bundled model; numbers are those of ACDC,
at ED where a patient has both phases.

One or two slices that are missing within a stack hardly change that profile: patients differ by
more. Only the positions of the slices can tell, where a scan has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.masks import has_picture
from ctct.measurement.quality_flags import REJECT, REVIEW, Flag

#: Shortest and longest ventricle; see :attr:`Coverage.elongation`. 0.47 to 1.16.
_MIN_ELONGATION, _MAX_ELONGATION = 0.45, 1.4
#: Longest ventricle with its wall; at most 110.
_MAX_LENGTH_MM = 140.0
#: See :attr:`Coverage.apex_beyond`; at most 0.62. Of stacks without the apical slices, it is larger
#: in 90 % of those that lack 10 to 30 % of the LV, and in 98 % of those that lack more.
_MAX_APEX_BEYOND = 0.68
#: At an apex: how much of the diameter is looked at, and the RV's area there as a share of the
#: LV's largest.
_APEX_DIAMETERS, _MAX_APEX_RV = 0.15, 0.1
#: See :attr:`Coverage.base_beyond`; at most 0.47. Of stacks without the basal slices, it is larger
#: in 33 % of those that lack 30 to 40 % of the LV, in 62 % up to 50 %, in 92 % up to 70 %.
_MAX_BASE_BEYOND = 0.5
#: See :attr:`Coverage.middle`; at most 0.93. Of stacks without both ends, this limit or one of
#: those above is passed in 68 % that lack 20 to 30 % of the LV (50 % without this one), in 91 % up
#: to 40 % (72 %), in 98 % up to 50 % (85 %).
_MAX_MIDDLE = 1.02
#: See :attr:`Coverage.step`; at most 0.34, and 0.26 at ED. It is larger in one of seven stacks that
#: lack 4 slices of 10 mm.
_MAX_STEP = 0.36
#: See :attr:`Coverage.waist`; at most 0.24.
_MAX_WAIST = 0.35


@dataclass(frozen=True)
class Coverage:
    """The area of the LV and its wall along a stack; areas are shares of the largest one.

    NaN where a value is not defined: without a ventricle or a slice spacing, the ends also where
    fewer than 3 slices hold it, the step where fewer than 6 do.

    Attributes:
        length_mm: of the LV and its wall, whole slices.
        diameter_mm: of a circle of the largest area.
        elongation: volume over the largest area, which is the length of a cylinder of that area, as
            a share of that diameter.
        apex_beyond: area near the ventricle's narrower end: the mean of its last slice and of
            0.15 diameters further in. 0 where a slice without the ventricle follows on an end
            without RV, however wide.
        base_beyond: area in the stack's last slice at the wider end, less that half a diameter
            further in. A whole ventricle hardly widens towards its base.
        step: largest change between neighbors, apart from two at either end.
        step_at: number of the slice before it.
        waist: how much narrower the ventricle is between two wider parts than the narrower of them.
        waist_at: number of the narrowest slice.
    """

    length_mm: float = math.nan
    diameter_mm: float = math.nan
    elongation: float = math.nan
    apex_beyond: float = math.nan
    base_beyond: float = math.nan
    step: float = math.nan
    step_at: int = 0
    waist: float = math.nan
    waist_at: int = 0

    @property
    def middle(self) -> float:
        """How much the ventricle looks like the middle of one: wide at both ends, and short."""
        return self.apex_beyond + 0.7 * max(self.base_beyond, 0) + 0.15 / self.elongation


def measure_coverage(
    labels: npt.NDArray[np.integer], spacing_mm: tuple[float, float], slice_spacing_mm: float
) -> Coverage:
    """Measure how a label map (Z, H, W) of one frame lies in its stack.

    Args:
        labels: of all slices that were acquired.
        spacing_mm: of rows and of columns.
        slice_spacing_mm: NaN where it is not known.
    """
    area = np.isin(labels, (VALUE[LV], VALUE[MYO])).sum(axis=(1, 2)).astype(float)
    inside = np.flatnonzero(area)
    if not inside.size:
        return Coverage()
    first, last = int(inside[0]), int(inside[-1])
    # The ventricle is wider towards the base: so is the profile's center of mass.
    center = (np.arange(len(area)) * area).sum() / area.sum()
    apex_last = center <= (first + last) / 2
    diameter_mm = 2 * math.sqrt(area.max() * spacing_mm[0] * spacing_mm[1] / math.pi)
    share = area / area.max()
    from_base = share if apex_last else share[::-1]
    diameter = diameter_mm / slice_spacing_mm  # in slices
    base, within = from_base[0], np.interp(diameter / 2, np.arange(len(share)), from_base)
    rv = (labels == VALUE[RV]).sum(axis=(1, 2)) / area.max()
    ends = [
        _area_at_end(share[order], rv[order], _APEX_DIAMETERS * diameter)
        for order in (slice(None), slice(None, None, -1))
    ]
    has_ends = inside.size >= 3

    steps = np.abs(np.diff(share[first : last + 1]))
    inner = steps[2:-2]

    wider_before = np.maximum.accumulate(share)
    wider_after = np.maximum.accumulate(share[::-1])[::-1]
    waists = np.minimum(wider_before, wider_after) - share
    return Coverage(
        length_mm=(last + 1 - first) * slice_spacing_mm,
        diameter_mm=diameter_mm,
        elongation=float(share.sum()) * slice_spacing_mm / diameter_mm,
        apex_beyond=min(ends) if has_ends else math.nan,
        base_beyond=float(base - within) if has_ends else math.nan,
        step=float(inner.max()) if inner.size else math.nan,
        step_at=first + 2 + int(inner.argmax()) if inner.size else 0,
        waist=float(waists.max()),
        waist_at=int(waists.argmax()),
    )


def _area_at_end(
    share: npt.NDArray[np.float64], rv: npt.NDArray[np.float64], depth: float
) -> float:
    """See :attr:`Coverage.apex_beyond`, of the first end; ``depth`` is in slices."""
    end = int(np.flatnonzero(share)[0])
    near, near_rv = (
        float(areas[end] + np.interp(end + depth, np.arange(len(areas)), areas)) / 2
        for areas in (share, rv)
    )
    return 0.0 if end > 0 and near_rv < _MAX_APEX_RV else near


def coverage_flags(
    labels: npt.NDArray[np.integer],
    voxels: npt.NDArray[np.float32],
    spacing_mm: tuple[float, float],
    slice_spacing_mm: float,
) -> list[Flag]:
    """Flags of a scan that shows a part of a heart, more than one, or slices out of order.

    They come from the frame with the largest LV. Slices without a picture, as at the ends of a
    padded stack, were not acquired.

    Args:
        labels: (T, Z, H, W).
        voxels: (T, Z, H, W) intensities.
        spacing_mm: of rows and of columns.
        slice_spacing_mm: NaN where it is not known.
    """
    frame = labels[(labels == VALUE[LV]).sum(axis=(1, 2, 3)).argmax()]
    acquired = np.flatnonzero(has_picture(voxels).any(axis=0))
    if not acquired.size:
        return []
    start = int(acquired[0])
    found = measure_coverage(frame[start : acquired[-1] + 1], spacing_mm, slice_spacing_mm)
    return [*_more_than_one(found, start, slice_spacing_mm)] or [
        *_less_than_one(found, start, slice_spacing_mm)
    ]


def _more_than_one(found: Coverage, start: int, slice_spacing_mm: float) -> Iterator[Flag]:
    """Flags of a stack that is not one heart from end to end; ``start`` is its first slice."""
    if found.elongation > _MAX_ELONGATION or found.length_mm > _MAX_LENGTH_MM:
        yield Flag(
            REJECT,
            f"{_size(found)}: the stack holds more than one heart, or slices twice, or the slice "
            f"spacing of {slice_spacing_mm:.1f} mm is wrong",
        )
    if found.waist > _MAX_WAIST:
        yield Flag(
            REVIEW,
            f"the LV narrows towards slice {found.waist_at + start} (from 0) and widens again: the "
            "stack holds more than one heart, or slices are out of order",
        )


def _less_than_one(found: Coverage, start: int, slice_spacing_mm: float) -> Iterator[Flag]:
    """Flags of a stack that lacks slices of the heart; ``start`` is its first slice."""
    if lacks_apex := found.apex_beyond > _MAX_APEX_BEYOND:
        yield Flag(REVIEW, "the stack ends before the apex")
    if lacks_base := found.base_beyond > _MAX_BASE_BEYOND:
        yield Flag(
            REVIEW, "the LV still widens where the stack ends, so the stack ends before the base"
        )
    has_ends = not (lacks_apex or lacks_base)
    if has_ends and found.elongation < _MIN_ELONGATION:
        yield Flag(
            REVIEW,
            f"{_size(found)}: slices are missing or not labelled, or the slice spacing of "
            f"{slice_spacing_mm:.1f} mm is wrong",
        )
    elif has_ends and found.middle > _MAX_MIDDLE:
        yield Flag(
            REVIEW,
            "the LV is wide at both ends of the stack, and short: slices at apex and base seem to "
            "be missing",
        )
    if found.step > _MAX_STEP:
        z = found.step_at + start
        yield Flag(
            REVIEW,
            f"the LV changes abruptly between slices {z} and {z + 1} (from 0): slices seem to be "
            "missing there, or out of order",
        )


def _size(found: Coverage) -> str:
    length_mm, width_mm = round(found.length_mm), round(found.diameter_mm)
    return f"the LV with its wall is {length_mm} mm long and {width_mm} mm wide"
