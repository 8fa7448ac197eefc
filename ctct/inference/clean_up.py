"""Cleaning up label maps."""

from __future__ import annotations

import cc3d
import numpy as np
import numpy.typing as npt

from ctct.labels import STRUCTURES, VALUE, bounding_box


def keep_largest_components(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Keep the largest 3-D component of each structure in each frame; the rest is background.

    Args:
        labels: (T, Z, H, W) label map.

    Returns:
        A new array of the same shape. Voxels that touch at a corner are connected.
    """
    cleaned = np.zeros_like(labels)
    rows, columns = bounding_box(labels)
    cut = np.ascontiguousarray(labels[..., rows, columns])
    for frame, out in zip(cut, cleaned[..., rows, columns], strict=True):
        components, count = cc3d.connected_components(frame, connectivity=26, return_N=True)
        sizes = np.bincount(components.ravel(), minlength=count + 1)
        # A component holds one label, so the label of any of its voxels is the component's.
        value = np.zeros(count + 1, labels.dtype)
        value[components.ravel()] = frame.ravel()
        for structure in STRUCTURES:
            candidates = np.flatnonzero(value == VALUE[structure])
            if candidates.size:
                out[components == candidates[sizes[candidates].argmax()]] = VALUE[structure]
    return cleaned
