"""Where the headers of a series contradict the distances between its pixels and its slices."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ctct.io.dicom.series import Series

#: Headers are rounded, and positions are not quite even.
_TOLERANCE = 0.05


def find_spacing_contradictions(series: Series, slice_mm: float) -> Iterator[str]:
    """What contradicts PixelSpacing and the positions of the slices, a sentence each.

    Args:
        series: the images; they have PixelSpacing.
        slice_mm: distance between slices by their positions; NaN for a single slice.
    """
    row_mm, column_mm = series.first.spacing_mm or ()
    rows, columns = series.first.shape
    sides_mm = (rows * row_mm, columns * column_mm)
    # A rectangle is named by either side; pixels that are not square fill a square.
    agree = any if _agree(row_mm, column_mm) else all
    for diameter_mm in {image.acquisition.diameter_mm or 0.0 for image in series.images}:
        if diameter_mm > 0 and not agree(_agree(side, diameter_mm) for side in sides_mm):
            _, side_mm = max((abs(side - diameter_mm), side) for side in sides_mm)
            yield (
                f"PixelSpacing gives {side_mm:.0f} mm for the image, ReconstructionDiameter "
                f"{diameter_mm:.0f} mm; check the size of the pixels"
            )
            break
    uids = [{image.series for image in images} for images in series.slices]
    if not any(a & b for a, b in pairwise(uids)):
        return  # where each slice is a DICOM series, the header does not know of the others
    headers = [image.acquisition for image in series.images]
    for spacing_mm, thick_mm in {(h.slice_spacing_mm or 0, h.thickness_mm or 0) for h in headers}:
        # Some scanners store the gap between slices as their spacing.
        if spacing_mm > 0 and not any(_agree(slice_mm, spacing_mm + mm) for mm in (0, thick_mm)):
            yield (
                f"ImagePositionPatient puts the slices {slice_mm:.3g} mm apart, "
                f"SpacingBetweenSlices {spacing_mm:.3g} mm; check the distance between slices"
            )
            break


def _agree(measured_mm: float, stated_mm: float) -> bool:
    return abs(measured_mm - stated_mm) <= _TOLERANCE * stated_mm
