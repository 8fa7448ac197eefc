"""What the stack tells about a slice, which the networks see alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctct.io.study import Study
from ctct.labels import RV, VALUE
from ctct.measurement.rv_base import find_extra_slice
from ctct.measurement.stack_flags import is_one_stack

#: Frames from which on neighbors in time show nearly the same.
_MIN_CINE_FRAMES = 6


def remove_rv_above_base(labels: npt.NDArray[np.uint8], study: Study) -> npt.NDArray[np.uint8]:
    """Remove the RV from the slice nearest the base where it is atrium or outflow tract.

    See :mod:`ctct.measurement.rv_base`. In a cine this takes a second opinion: in the frame before
    or after it, the slice has no RV, or one that would be removed too. Where the slices do not lie
    in order, nothing is removed.

    Args:
        labels: (T, Z, H, W) label map, after clean-up.
        study: the scan.

    Returns:
        The same array where nothing is removed, or else a new one.
    """
    is_extra = np.zeros(labels.shape[:2], bool)
    for t, frame in enumerate(labels):
        if (z := find_extra_slice(frame)) is not None:
            is_extra[t, z] = True
    if not is_extra.any():
        return labels
    if len(labels) >= _MIN_CINE_FRAMES:
        without = is_extra | ~(labels == VALUE[RV]).any(axis=(2, 3))
        is_extra &= np.roll(without, 1, axis=0) | np.roll(without, -1, axis=0)
    if not is_one_stack(study.voxels, study.slice_spacing_mm):
        return labels
    trimmed = labels.copy()
    for t, z in np.argwhere(is_extra):
        trimmed[t, z][trimmed[t, z] == VALUE[RV]] = 0
    return trimmed
