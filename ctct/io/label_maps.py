"""Label maps from files, and whether two of them lie on the same voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.nifti import read_nifti
from ctct.io.study import Study
from ctct.labels import remap

#: Voxel centers of two files further apart than this are not the same place.
SAME_PLACE_MM = 0.5


def read_labels(path: Path, order: str = "acdc") -> tuple[Study, npt.NDArray[np.uint8]]:
    """A label map as a study, and its labels (T, Z, H, W) in the ACDC order.

    Raises:
        InputError: the file is no scan, or holds other than the whole numbers ``order`` names.
    """
    study = read_nifti(path)
    labels = np.empty(study.voxels.shape, np.uint8)
    for frame, voxels in enumerate(study.voxels):  # one at a time, as integers take memory
        whole = voxels.round()
        if not np.array_equal(whole, voxels):
            odd = float(voxels[whole != voxels][0])
            raise InputError(
                f"{path}: holds {odd:g}; labels are whole numbers (resampled with interpolation?)"
            )
        try:
            labels[frame] = remap(whole.astype(np.int64), source=order)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return study, labels


def check_same_grid(one: Study, other: Study) -> None:
    """Refuse two studies whose voxels do not lie on each other.

    Raises:
        InputError: shape, spacing or affine differ.
    """
    if one.voxels.shape != other.voxels.shape:
        raise InputError(
            f"{one.path}: {one.voxels.shape} voxels, {other.path} has {other.voxels.shape}"
        )
    own, theirs = ((*s.spacing_mm, s.slice_spacing_mm) for s in (one, other))
    if not np.allclose(own, theirs, rtol=0.01, equal_nan=True):
        raise InputError(f"{one.path}: voxels of {own} mm, {other.path} has {theirs}")
    _, depth, height, width = one.voxels.shape
    corners = [
        (x, y, z, 1.0) for x in (0, width - 1) for y in (0, height - 1) for z in (0, depth - 1)
    ]
    shift = (one.affine - other.affine)[:3] @ np.array(corners).T  # (3, corners)
    apart_mm = float(np.sqrt((shift**2).sum(0)).max())
    if not apart_mm <= SAME_PLACE_MM:
        raise InputError(
            f"{one.path}: lies up to {apart_mm:.1f} mm from {other.path} (affines differ); "
            "resample one onto the other"
        )
