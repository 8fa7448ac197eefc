"""The images of a DICOM series in order: slices by place, phases by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.dicom.header import Image
from ctct.io.dicom.series import Series
from ctct.io.geometry import stack_step

#: DICOM's axes point to the left and the back, NIfTI's to the right and the front.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """A series in order.

    Attributes:
        images: by phase, then by slice.
        affine: (4, 4), voxel index (column, row, slice) to millimetres (RAS+).
        slice_spacing_mm: distance between slices along their normal; NaN for a lone slice.
        frame_s: time from phase to phase, 0 where not known.
        notes: what was not as it should be, a sentence each.
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
    if lacking := series.first.missing:
        raise InputError(f"{where}: the images lack {lacking}; export them again from the scanner")
    notes = []
    if series.left_out:
        notes.append(f"{series.left_out} images of the series have another geometry, left out")
    sources = [{image.series for image in one} for one in series.slices]
    alone = [one.pop() for one in sources if len(one) == 1]
    if 1 < len(set(alone)) < len(alone):  # a series a slice or a phase is usual
        notes.append(f"the slices come from {len(set(alone))} series")
    slices, twice = _phases(series, where)
    if twice:
        notes.append(f"images that were there twice: {twice}; the later ones are used")
    frames = max(set(map(len, slices)), key=lambda n: (sum(len(s) == n for s in slices), n))
    times_ms = _usual_times(slices, frames)
    for z, one in enumerate(slices):
        if len(one) != frames:
            slices[z] = _matched(one, times_ms, f"{where}: slice {z}", frames)
            notes.append(
                f"slice {z} has {len(one)} phases, the others {frames}: the nearest in time is used"
            )
    affine, slice_mm, uneven = _affine(series, [one[0] for one in slices], where)
    step_ms = np.diff(times_ms).mean() if len(times_ms) > 1 else 0.0
    return Stack(
        [[one[t] for one in slices] for t in range(frames)],
        affine,
        slice_mm,
        max(float(step_ms), 0.0) / 1000,
        (*notes, *uneven),
    )


def _phases(series: Series, where: str) -> tuple[list[list[Image]], int]:
    """The images of each slice in order of time, and how many others were there for the same."""
    images = series.images
    timed = all(image.time_ms is not None for image in images) and all(
        len(one) == 1 or len({image.time_ms for image in one}) > 1 for one in series.slices
    )
    numbered = all(image.phase is not None for image in images)
    slices = []
    for one in series.slices:
        later_last = sorted(one, key=lambda i: (i.number, i.instance))
        if timed or numbered:
            kept = {float((i.time_ms if timed else i.phase) or 0): i for i in later_last}
            slices.append([kept[key] for key in sorted(kept)])
        else:
            slices.append(later_last)
    if not timed and not numbered:
        least = min(map(len, slices))
        if any(len(one) % least for one in slices):
            counts = ", ".join(str(len(one)) for one in slices)
            raise InputError(
                f"{where}: slices have {counts} images and no TriggerTime says which is which; "
                "export the series again with it"
            )
        slices = [one[-least:] for one in slices]
    return slices, len(images) - sum(map(len, slices))


def _usual_times(slices: Sequence[Sequence[Image]], frames: int) -> npt.NDArray[np.float64]:
    """Median time of each phase over the slices that have all; empty where there are no times."""
    whole = [[i.time_ms for i in one] for one in slices if len(one) == frames]
    if any(time is None for one in whole for time in one):
        return np.empty(0)
    return np.median(np.array(whole, np.float64), axis=0)


def _matched(
    images: Sequence[Image], times_ms: npt.NDArray[np.float64], where: str, frames: int
) -> list[Image]:
    """For each usual time the image nearest to it, which is at most a phase away."""
    own_ms = [image.time_ms for image in images]
    if len(times_ms) and None not in own_ms:
        apart = np.abs(np.array(own_ms, np.float64)[:, None] - times_ms)  # (images, phases)
        if apart.min(0).max() <= 1.1 * float(np.diff(times_ms).mean() if frames > 1 else 0):
            return [images[n] for n in apart.argmin(0)]
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
    places = np.array([image.position for image in slices], np.float64)
    step, slice_mm, notes = stack_step(
        places, series.normal, max(row_mm, column_mm), where, "export all of the series"
    )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along * column_mm, down * row_mm, step
    affine[:3, 3] = places[0]
    return _LPS_TO_RAS @ affine, slice_mm, notes
