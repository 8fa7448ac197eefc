"""Base, mid and apex of a stack of short-axis slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, VALUE

BASE, MID, APEX = REGIONS = ("base", "mid", "apex")


def region_of_slices(
    labels: npt.NDArray[np.integer], structures: Sequence[str] = (LV, MYO)
) -> list[str]:
    """Region of each slice of a label map (Z, H, W): equal thirds of a ventricle's length.

    The thirds are those of Cerqueira et al. (Circulation 105:539, 2002): the slices that hold LV or
    myocardium are divided evenly, each by the position of its center. The wider end is the base, so
    the order of the slices in the file does not matter.

    Args:
        labels: label map.
        structures: that make up the ventricle, the left one where left out.

    Returns:
        "base", "mid", "apex", or "" for a slice outside the ventricle.
    """
    area = np.isin(labels, [VALUE[s] for s in structures]).sum(axis=(1, 2))
    inside = np.flatnonzero(area)
    regions = [""] * len(labels)
    if not inside.size:
        return regions
    first, last = int(inside[0]), int(inside[-1])
    position = (np.arange(first, last + 1) + 0.5 - first) / (last + 1 - first)  # 0…1
    # The end at which the ventricle is wider: the area's center of mass lies towards the base.
    from_base = (position * area[first : last + 1]).sum() <= area.sum() / 2
    for z, at in zip(range(first, last + 1), position, strict=True):
        regions[z] = REGIONS[int(3 * (at if from_base else 1 - at))]
    return regions


def extend_regions(regions: Sequence[str]) -> list[str]:
    """The regions of :func:`region_of_slices`, with "base" and "apex" up to the ends of the stack.

    >>> extend_regions(["", "apex", "mid", "base", "", ""])
    ['apex', 'apex', 'mid', 'base', 'base', 'base']
    """
    inside = [z for z, region in enumerate(regions) if region]
    if not inside:
        return list(regions)
    first, last = inside[0], inside[-1]
    before, after = regions[first], regions[last]
    if len(inside) == 1:  # a single slice has no direction
        return list(regions)
    return [before] * first + list(regions[first : last + 1]) + [after] * (len(regions) - 1 - last)
