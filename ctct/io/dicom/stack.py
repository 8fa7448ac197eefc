"""The images of a DICOM series in order: slices by position, phases by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.dicom.acquisitions import drop_repeated_slices
from ctct.io.dicom.completeness import find_losses
from ctct.io.dicom.header import Image
from ctct.io.dicom.series import Series
from ctct.io.geometry import measure_slice_step

#: DICOM's axes point left and posterior, NIfTI's right and anterior.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """A series in order.

    Attributes:
        images: by phase, then by slice.
        affine: (4, 4), voxel index (column, row, slice) to millimeters (RAS+).
        slice_spacing_mm: distance between slices along their normal; NaN for a single slice.
        frame_s: seconds from phase to phase, 0 where unknown.
        notes: irregularities, one sentence each.
    """

    images: list[list[Image]]
    affine: npt.NDArray[np.float64]
    slice_spacing_mm: float
    frame_s: float
    notes: tuple[str, ...]


def arrange(series: Series) -> Stack:
    """Put the images of a series in order.

    Raises:
        InputError: an attribute is missing, a slice lacks phases, or slices are missing.
    """
    where = f"{series.path}, series {series.first.number}"
    if missing := series.first.missing:
        raise InputError(f"{where}: the images lack {missing}; export them again from the scanner")
    notes = [*series.notes, *find_losses(series)]
    series, repeats = drop_repeated_slices(series)
    notes += repeats
    if series.left_out:
        notes.append(f"{series.left_out} images of the series have another geometry, left out")
    uids_by_slice = [{image.series for image in images} for images in series.slices]
    uids = [slice_uids.pop() for slice_uids in uids_by_slice if len(slice_uids) == 1]
    if 1 < len(set(uids)) < len(uids):  # one series per slice, or per phase, is usual
        notes.append(f"the slices come from {len(set(uids))} series")
    slices, duplicates = _sort_phases(series, where)
    if duplicates:
        notes.append(f"images that were there twice: {duplicates}; the later ones are used")
    frames = max(set(map(len, slices)), key=lambda n: (sum(len(s) == n for s in slices), n))
    times_ms = _median_times(slices, frames)
    for z, images in enumerate(slices):
        if len(images) != frames:
            slices[z] = _match_phases(images, times_ms, f"{where}: slice {z}", frames)
            notes.append(
                f"slice {z} has {len(images)} phases, the others {frames}: the nearest in time is "
                "used"
            )
    affine, slice_mm, gap_notes = _affine(series, [images[0] for images in slices], where)
    step_ms = np.diff(times_ms).mean() if len(times_ms) > 1 else 0.0
    return Stack(
        [[images[t] for images in slices] for t in range(frames)],
        affine,
        slice_mm,
        max(float(step_ms), 0.0) / 1000,
        (*notes, *gap_notes),
    )


def _sort_phases(series: Series, where: str) -> tuple[list[list[Image]], int]:
    """The images of each slice in order of time, and the number of duplicates left out.

    The order is that of the times, or else of the phase numbers, or else of the instance numbers.
    Of several images for one phase the one with the highest instance number is used.
    """
    has_times = all(image.time_ms is not None for image in series.images) and all(
        len(images) == 1 or len({image.time_ms for image in images}) > 1 for images in series.slices
    )
    has_phases = all(image.phase is not None for image in series.images)
    slices = []
    for images in series.slices:
        by_instance = sorted(images, key=lambda i: (i.number, i.instance))
        if has_times or has_phases:
            latest = {float((i.time_ms if has_times else i.phase) or 0): i for i in by_instance}
            slices.append([latest[key] for key in sorted(latest)])
        else:
            slices.append(by_instance)
    if not has_times and not has_phases:
        min_count = min(map(len, slices))
        if any(len(images) % min_count for images in slices):
            counts = ", ".join(str(len(images)) for images in slices)
            raise InputError(
                f"{where}: slices have {counts} images and no TriggerTime says which is which; "
                "export the series again with it"
            )
        slices = [images[-min_count:] for images in slices]
    return slices, len(series.images) - sum(map(len, slices))


def _median_times(slices: Sequence[Sequence[Image]], frames: int) -> npt.NDArray[np.float64]:
    """Median time of each phase over the slices with all phases; empty without times."""
    times_ms = [[image.time_ms for image in images] for images in slices if len(images) == frames]
    if any(time is None for slice_times in times_ms for time in slice_times):
        return np.empty(0)
    return np.median(np.array(times_ms, np.float64), axis=0)


def _match_phases(
    images: Sequence[Image], times_ms: npt.NDArray[np.float64], where: str, frames: int
) -> list[Image]:
    """The image nearest to each of ``times_ms``, at most about one phase away.

    Raises:
        InputError: an image for some phase is missing, or images have no time.
    """
    image_times_ms = [image.time_ms for image in images]
    if len(times_ms) and None not in image_times_ms:
        # (images, phases)
        distance_ms = np.abs(np.array(image_times_ms, np.float64)[:, None] - times_ms)
        phase_ms = float(np.diff(times_ms).mean() if frames > 1 else 0)
        if distance_ms.min(0).max() <= 1.1 * phase_ms:
            return [images[n] for n in distance_ms.argmin(0)]
    raise InputError(
        f"{where} has {len(images)} phases, the others {frames}; too many are missing to do "
        "without them, export the series again"
    )


def _affine(
    series: Series, slices: Sequence[Image], where: str
) -> tuple[npt.NDArray[np.float64], float, tuple[str, ...]]:
    """Affine (RAS+), slice spacing along the normal, and notes."""
    along, down = np.reshape(series.first.orientation or (), (2, 3))
    row_mm, column_mm = series.first.spacing_mm or ()
    positions = np.array([image.position for image in slices], np.float64)
    step, slice_mm, notes = measure_slice_step(
        positions, series.normal, max(row_mm, column_mm), where, "export all of the series"
    )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along * column_mm, down * row_mm, step
    affine[:3, 3] = positions[0]
    return _LPS_TO_RAS @ affine, slice_mm, notes
