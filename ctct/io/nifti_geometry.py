"""Voxel size and position of a NIfTI image, which its header gives up to three times.

The sform holds if its code is above 0, else the qform if its code is. pixdim holds only without
either, or beside a form with a spacing of 1 mm each way, as in the files of ACDC: that is how tools
write a form that they do not know.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from ctct.io.study import SLICE_MM

_TO_MM = {1: 1000.0, 3: 0.001}  # NIFTI_UNITS_METER and _MICRON; every other code is read as mm
#: Sizes that differ by less are the same number, rounded.
_ROUNDING = 0.005
#: A qform has no shear, so the slice axis of a sheared stack has another direction in the sform.
_MAX_TURN = np.pi / 4
#: Largest deviation from 90° of the angle between rows and columns, in degrees.
_MAX_SKEW_DEG = 2.0


@dataclass(frozen=True)
class ImageGeometry:
    """Size and position of an image according to its header.

    Attributes:
        shape: as stored.
        affine: (4, 4), voxel index to millimeters (RAS+).
        voxel_mm: distance between voxels along x, y and z; between slices along their normal.
        has_position: whether the header holds a qform or an sform; otherwise the affine is
            nibabel's default.
        notes: how the header contradicts itself, one sentence each.
    """

    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    voxel_mm: tuple[float, float, float]
    has_position: bool
    notes: tuple[str, ...] = ()


def find_geometry(header: nib.Nifti1Header, stored: nib.Nifti1Header) -> ImageGeometry:
    """The geometry that holds.

    Args:
        header: of the image.
        stored: the same before nibabel mended it: it replaces a pixdim of 0 by 1, and codes that it
            does not know by 0.
    """
    pixdim = stored["pixdim"].astype(np.float64)
    shape = tuple(int(n) for n in header.get_data_shape())
    # What the header says of the third axis of a single slice is often made up.
    axes = [axis for axis, n in enumerate(shape[:3]) if n > 1 or axis < 2]
    to_mm = _TO_MM.get(int(header["xyzt_units"]) % 8, 1.0)
    pixdim_mm = np.abs(pixdim[1:4]) * to_mm
    name, affine, notes = _find_form(header, stored)
    affine[:3] *= to_mm
    if not name:
        return ImageGeometry(shape, affine, _as_tuple(pixdim_mm), False, notes)

    def agree(sizes_mm: npt.NDArray[np.float64], others_mm: npt.NDArray[np.float64]) -> bool:
        return np.allclose(sizes_mm[axes], others_mm[axes], rtol=_ROUNDING)

    lengths_mm = np.linalg.norm(affine[:3, :3], axis=0)
    form_mm = _measure_along_normal(affine, lengths_mm, shape)
    if agree(form_mm, pixdim_mm):
        form_mm = pixdim_mm
    elif agree(lengths_mm, np.full(3, to_mm)):  # an impossible pixdim is refused later
        form_mm = pixdim_mm
        affine[:3, axes] *= pixdim_mm[axes] / lengths_mm[axes]
    elif not agree(lengths_mm, pixdim_mm):
        notes += (
            f"the header contradicts itself: voxels of {_format(pixdim_mm[axes])} mm by pixdim, "
            f"of {_format(form_mm[axes])} mm by the {name}, which is used",
        )
    if name == "sform" and int(stored["qform_code"]) > 0 and _is_turned(header, affine):
        notes += ("sform and qform give the image different directions, those of the sform hold",)
    return ImageGeometry(shape, affine, _as_tuple(form_mm), True, notes)


def find_slice_axis(sizes_mm: npt.ArrayLike) -> int:
    """The axis with a spacing at least 1.5 times that of both others, or else the third."""
    sizes = np.nan_to_num(np.asarray(sizes_mm, np.float64))
    widest = int(sizes.argmax())
    others = np.delete(sizes, widest).max()
    return widest if 1.5 * others <= sizes[widest] <= SLICE_MM[1] else 2


def note_skew(row: npt.NDArray[np.float64], column: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """A note if two axes of a slice, (3,) each, are not at right angles."""
    area = np.linalg.norm(np.cross(row, column))
    angle_deg = float(np.degrees(np.arctan2(area, abs(row @ column))))
    if angle_deg >= 90 - _MAX_SKEW_DEG:
        return ()
    return (
        f"rows and columns of pixels are not at right angles ({angle_deg:.0f}°); the area of a "
        "pixel is not known for sure; resample the scan",
    )


def _find_form(
    header: nib.Nifti1Header, stored: nib.Nifti1Header
) -> tuple[str, npt.NDArray[np.float64], tuple[str, ...]]:
    """The name and the affine of the form that holds, and notes; without one the name is ""."""
    notes: tuple[str, ...] = ()
    for name, read in (("sform", header.get_sform), ("qform", header.get_qform)):
        if int(stored[f"{name}_code"]) <= 0:
            continue
        affine = np.array(read(), np.float64)
        long = [axis for axis, n in enumerate(header.get_data_shape()[:3]) if n > 1]
        if np.isfinite(affine).all() and affine[:3, long].any(axis=0).all():
            return name, affine, notes
        notes += (f"the {name} in the header is impossible and not used",)
    return "", np.array(header.get_base_affine(), np.float64), notes


def _is_turned(header: nib.Nifti1Header, affine: npt.NDArray[np.float64]) -> bool:
    """Whether an axis of the qform lies more than :data:`_MAX_TURN` away from that of ``affine``.

    A qform that is damaged says nothing.
    """
    try:
        turned = np.array(header.get_qform(), np.float64)[:3, :3]
    except HeaderDataError:
        return False
    lengths = np.linalg.norm(turned, axis=0) * np.linalg.norm(affine[:3, :3], axis=0)
    cosines = (turned * affine[:3, :3]).sum(axis=0) / np.where(lengths > 0, lengths, 1)
    return bool((cosines[lengths > 0] < np.cos(_MAX_TURN)).any())


def _measure_along_normal(
    affine: npt.NDArray[np.float64], lengths_mm: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """The lengths, but of the slice axis along the normal: in a sheared stack it is oblique."""
    sizes_mm = lengths_mm.copy()
    axis = find_slice_axis(lengths_mm)
    if len(shape) > 2 and shape[axis] > 1:
        normal = np.cross(*np.delete(affine[:3, :3], axis, axis=1).T)
        if length := float(np.linalg.norm(normal)):
            sizes_mm[axis] = abs(float(affine[:3, axis] @ normal)) / length
    return sizes_mm


def _as_tuple(sizes: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = sizes.tolist()
    return x, y, z


def _format(sizes: npt.NDArray[np.float64]) -> str:
    return "×".join(f"{size:.4g}" for size in sizes)
