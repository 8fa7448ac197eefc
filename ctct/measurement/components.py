"""Connected components of label maps: which of them are the heart."""

from __future__ import annotations

import cc3d
import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.masks import Mask, shift_to_neighbors

#: Pixels from the wall within which the RV lies; a thin line between them may be background.
_NEAR = 2


def find_heart(labels: npt.NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """The RV, and the LV with its myocardium, without what lies elsewhere in the body.

    Of LV and myocardium, taken as one, the largest component stays; of the RV the one with the most
    voxels beside that, or the largest where none has any.

    Args:
        labels: (Z, H, W) label map of one frame.

    Returns:
        Masks (Z, H, W) of the RV, and of LV and myocardium. Voxels that touch at a corner are
        connected.
    """
    wall = largest_component(np.isin(labels, (VALUE[MYO], VALUE[LV])))
    near = wall
    for _ in range(_NEAR):
        near = np.logical_or.reduce([near, *shift_to_neighbors(near)])
    components, sizes = _components(labels == VALUE[RV])
    beside = np.bincount(components[near], minlength=len(sizes))
    beside[0] = 0
    chosen = (beside if beside.any() else sizes).argmax()
    return (components == chosen) & (components > 0), wall


def largest_component(mask: Mask) -> Mask:
    """The largest 3-D component of a mask (Z, H, W)."""
    components, sizes = _components(mask)
    largest: Mask = mask & (components == sizes.argmax())
    return largest


def _components(mask: Mask) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.int64]]:
    """The number of each voxel's component, from 1, and the size of each; 0 is no component."""
    components, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    sizes[0] = 0
    return components, sizes
