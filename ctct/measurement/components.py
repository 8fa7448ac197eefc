"""Connected components of label maps: which of them are the heart."""

from __future__ import annotations

import cc3d
import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.masks import MIN_SIDES, Mask, count_sides, shift_to_neighbors

#: Pixels from the wall within which the RV lies; a thin line between them may be background.
_NEAR = 2
#: Of the size of the largest wall, a smaller one is not that of the heart.
_MIN_SIZE = 0.25


def find_heart(labels: npt.NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """The RV, and the LV with its myocardium, without what lies elsewhere in the body.

    LV and myocardium, taken as one, are one component, and the RV is the component with the most
    voxels beside that, or the largest where none has any. Of all such hearts, the one with the most
    voxels stays, each counted by the share of its LV that lies within its myocardium: a stomach
    taken for the LV may be larger than the heart's, but it has no RV and no whole ring. Where no
    heart has a ring, the largest component of LV and myocardium stays.

    Args:
        labels: (Z, H, W) label map of one frame.

    Returns:
        Masks (Z, H, W) of the RV, and of LV and myocardium. Voxels that touch at a corner are
        connected.
    """
    walls, wall_sizes = _components(np.isin(labels, (VALUE[MYO], VALUE[LV])))
    rvs, rv_sizes = _components(labels == VALUE[RV])
    chosen = chosen_rv = 0
    most = -1.0
    for number in np.argsort(-wall_sizes, kind="stable"):
        if wall_sizes[number] < max(_MIN_SIZE * wall_sizes.max(), 1):
            break
        wall = walls == number
        rv = _find_beside(wall, rvs, len(rv_sizes))
        voxels = wall_sizes[number] + rv_sizes[rv]
        if (counted := voxels * _share_within(wall, labels)) > most:
            most, chosen, chosen_rv = counted, number, rv
    chosen_rv = chosen_rv or int(rv_sizes.argmax())
    return (rvs == chosen_rv) & (rvs > 0), (walls == chosen) & (walls > 0)


def _find_beside(wall: Mask, components: npt.NDArray[np.integer], count: int) -> int:
    """The component with the most voxels beside the wall; 0 where none has any."""
    near = wall
    for _ in range(_NEAR):
        near = np.logical_or.reduce([near, *shift_to_neighbors(near)])
    beside = np.bincount(components[near], minlength=count)
    beside[0] = 0
    return int(beside.argmax())


def _share_within(wall: Mask, labels: npt.NDArray[np.uint8]) -> float:
    """The share of the LV that has myocardium on three of its sides or four; 0 without LV."""
    blood, muscle = (wall & (labels == VALUE[s]) for s in (LV, MYO))
    within = int(np.count_nonzero(blood & (count_sides(muscle) >= MIN_SIDES)))
    return within / max(int(np.count_nonzero(blood)), 1)


def _components(mask: Mask) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.int64]]:
    """The number of each voxel's component, from 1, and the size of each; 0 is no component."""
    components, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    sizes[0] = 0
    return components, sizes
