"""Reading label maps, and checking that two studies have the same voxel grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from ctct.errors import InputError
from ctct.io.nifti import read_nifti
from ctct.io.study import Study
from ctct.labels import remap

#: Largest distance between corresponding voxel centers of two files with the same grid.
SAME_PLACE_MM = 0.5

#: How far a voxel may lie from its label: scaling and conversion between types round.
ROUNDING = 1e-3
#: From here on, 32-bit numbers do not hold every integer.
_FLOAT32_INTEGERS = 2**24


def read_labels(
    path: Path, order: str | Mapping[str, int] = "acdc"
) -> tuple[Study, npt.NDArray[np.uint8]]:
    """A label map as a study, and its labels (T, Z, H, W) in the ACDC order.

    A voxel within :data:`ROUNDING` of an integer has that label.

    Raises:
        InputError: the file is no scan, or holds other values than the integers of ``order``.
    """
    study = read_nifti(path)
    labels = np.empty(study.voxels.shape, np.uint8)
    for frame, voxels in enumerate(study.voxels):  # frame by frame, because int64 takes memory
        integers = voxels.round()
        with np.errstate(invalid="ignore"):  # infinity - infinity
            is_label = np.abs(voxels - integers) <= ROUNDING
        is_label &= np.abs(voxels) < _FLOAT32_INTEGERS
        if not is_label.all():
            raise InputError(
                f"{path}: holds {voxels[~is_label][0]:g}; labels are small whole numbers "
                "(resampled with interpolation?)"
            )
        try:
            labels[frame] = remap(integers.astype(np.int64), source=order)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return study, labels


def align_axes(
    study: Study, labels: npt.NDArray[np.uint8], reference: Study
) -> tuple[Study, npt.NDArray[np.uint8]]:
    """A label map with its axes in the order and direction of a reference.

    The same grid may be stored with its axes exchanged or reversed; the affine tells. Voxels are
    only reordered.

    Args:
        study: of the label map.
        labels: (T, Z, H, W).
        reference: a study whose grid may be the same.

    Returns:
        The study and the labels, in the axes of ``reference``.
    """
    relative = np.eye(4)
    with np.errstate(all="ignore"):
        relative[:3, :3] = np.linalg.pinv(reference.affine[:3, :3]) @ study.affine[:3, :3]
    axes = io_orientation(relative)
    if np.isnan(axes).any() or np.array_equal(axes, [(0, 1), (1, 1), (2, 1)]):
        return study, labels
    sizes_mm = np.empty(3)
    sizes_mm[axes[:, 0].astype(int)] = (*study.spacing_mm[::-1], study.slice_spacing_mm)
    voxels, labels = (
        apply_orientation(array.transpose(3, 2, 1, 0), axes).transpose(3, 2, 1, 0)
        for array in (study.voxels, labels)
    )
    shape = study.voxels.shape[:0:-1]
    aligned = replace(
        study,
        voxels=voxels,
        spacing_mm=(float(sizes_mm[1]), float(sizes_mm[0])),
        slice_spacing_mm=float(sizes_mm[2]),
        affine=study.affine @ inv_ornt_aff(axes, shape),
        label_encoder=None,
    )
    return aligned, labels


def check_same_grid(study: Study, reference: Study) -> None:
    """Check that the voxels of two studies coincide.

    Raises:
        InputError: shape, spacing or affine differ.
    """
    if study.voxels.shape != reference.voxels.shape:
        raise InputError(
            f"{study.path}: {study.voxels.shape} voxels, {reference.path} has "
            f"{reference.voxels.shape}"
        )
    size_mm, reference_mm = ((*s.spacing_mm, s.slice_spacing_mm) for s in (study, reference))
    if not np.allclose(size_mm, reference_mm, rtol=0.01, equal_nan=True):
        raise InputError(
            f"{study.path}: voxels of {size_mm} mm, {reference.path} has {reference_mm}"
        )
    _, depth, height, width = study.voxels.shape
    corners = [
        (x, y, z, 1.0) for x in (0, width - 1) for y in (0, height - 1) for z in (0, depth - 1)
    ]
    shift = (study.affine - reference.affine)[:3] @ np.array(corners).T  # (3, corners)
    distance_mm = float(np.sqrt((shift**2).sum(0)).max())
    if not distance_mm <= SAME_PLACE_MM:
        raise InputError(
            f"{study.path}: lies up to {distance_mm:.1f} mm from {reference.path} (affines "
            "differ); resample one onto the other"
        )
