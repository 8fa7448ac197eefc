"""The images of a DICOM series in order: slices by position, phases by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.dicom.acquisitions import drop_repeated_slices
from ctct.io.dicom.completeness import find_losses
from ctct.io.dicom.header import CLOCKS, PHASES, TIMES, Image
from ctct.io.dicom.phase_order import choose_attribute, find_contradiction, sort_phases
from ctct.io.dicom.series import Series
from ctct.io.dicom.spacing import find_spacing_contradictions
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
    attribute = choose_attribute(series.slices)
    slices, duplicates = _sort_phases(series, attribute, where)
    if attribute in CLOCKS:
        notes.append(f"only {attribute} tells the phases apart; check their order")
    elif attribute == "InstanceNumber" and (clock := find_contradiction(series.slices, attribute)):
        notes.append(f"{attribute} and {clock} give the phases different orders; check them")
    if duplicates:
        notes.append(f"images that were there twice: {duplicates}; the later ones are used")
    frames = max(set(map(len, slices)), key=lambda n: (sum(len(s) == n for s in slices), n))
    complete = [images for images in slices if len(images) == frames]
    times_ms = np.median([_times_ms(images, attribute) for images in complete], axis=0)
    for z, images in enumerate(slices):
        if len(images) != frames:
            slices[z] = _match_phases(images, attribute, times_ms, f"{where}: slice {z}", frames)
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
        (*notes, *gap_notes, *find_spacing_contradictions(series, slice_mm)),
    )


def _sort_phases(
    series: Series, attribute: str | None, where: str
) -> tuple[list[list[Image]], int]:
    """The images of each slice in order of an attribute, and the number of duplicates left out.

    Raises:
        InputError: slices lack phases, or no attribute tells the phases apart.
    """
    if attribute is None and all(len(images) == 1 for images in series.slices):
        return list(series.slices), 0
    if attribute is None:
        raise InputError(
            f"{where}: nothing says in which order the images of a slice come; TriggerTime, the "
            "temporal position, InstanceNumber, AcquisitionTime and ContentTime are missing or "
            "alike; export the series again with TriggerTime"
        )
    slices = [sort_phases(images, attribute) for images in series.slices]
    if attribute not in TIMES and attribute not in PHASES:
        min_count = min(map(len, slices))
        if any(len(images) % min_count for images in slices):
            counts = ", ".join(str(len(images)) for images in slices)
            raise InputError(
                f"{where}: slices have {counts} images and no TriggerTime says which is which; "
                "export the series again with it"
            )
        slices = [images[-min_count:] for images in slices]
    return slices, len(series.images) - sum(map(len, slices))


def _times_ms(images: Sequence[Image], attribute: str | None) -> npt.NDArray[np.float64]:
    """Time of each image after the R wave; empty if the images are in order of something else."""
    if attribute is None or attribute not in TIMES:
        return np.empty(0)
    return np.array([image.order[attribute][0] for image in images], np.float64)


def _match_phases(
    images: Sequence[Image],
    attribute: str | None,
    times_ms: npt.NDArray[np.float64],
    where: str,
    frames: int,
) -> list[Image]:
    """The image nearest to each of ``times_ms``, at most about one phase away.

    Raises:
        InputError: an image for some phase is missing, or images have no time.
    """
    if attribute in TIMES:
        distance_ms = np.abs(_times_ms(images, attribute)[:, None] - times_ms)  # (images, phases)
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
