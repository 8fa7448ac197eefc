"""The spacing and alignment of parallel slices."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError

#: Centers closer than this belong to the same slice; headers are rounded.
SAME_SLICE_MM = 0.5
#: Largest deviation of a gap between slices of one stack from the mean gap, as a fraction of it.
MAX_GAP_DEVIATION = 0.2


def measure_slice_step(
    positions_mm: npt.NDArray[np.float64],
    normal: npt.NDArray[np.float64],
    pixel_mm: float,
    where: str,
    remedy: str,
) -> tuple[npt.NDArray[np.float64], float, tuple[str, ...]]:
    """The mean step from slice to slice, its length along the normal, and notes on irregularities.

    The step is oblique in a sheared stack. A single slice has the normal as its step, and NaN as
    its length.

    Args:
        positions_mm: (slices, 3), the same point of each slice, in order along the normal.
        normal: (3,), unit vector perpendicular to the slices.
        pixel_mm: in-plane shifts larger than this are noted.
        where: the file or series, for messages.
        remedy: what to do about missing slices, for the error.

    Raises:
        InputError: the gaps are too uneven.
    """
    if len(positions_mm) == 1:
        return normal, float("nan"), ()
    notes = []
    step = (positions_mm[-1] - positions_mm[0]) / (len(positions_mm) - 1)
    slice_mm = float(step @ normal)
    gaps = [b - a for a, b in pairwise(positions_mm @ normal)]
    deviation = max(abs(gap - slice_mm) for gap in gaps)
    gaps_text = f"slices lie {min(gaps):.1f} to {max(gaps):.1f} mm apart"
    if deviation > MAX_GAP_DEVIATION * slice_mm:
        wide = [z for z, gap in enumerate(gaps) if gap > (1 + MAX_GAP_DEVIATION) * min(gaps)]
        between = ", ".join(f"{z} and {z + 1}" for z in wide)
        raise InputError(
            f"{where}: {gaps_text}, so some are missing, between slices {between} (from 0); "
            f"{remedy}"
        )
    if deviation > 0.02 * slice_mm:
        notes.append(f"{gaps_text}; the mean, {slice_mm:.2f} mm, is used")
    shifts = positions_mm - positions_mm[0] - np.arange(len(positions_mm))[:, None] * step
    shifts -= np.outer(shifts @ normal, normal)
    if (shift_mm := float(np.linalg.norm(shifts, axis=1).max())) > pixel_mm:
        notes.append(f"slices are shifted by up to {shift_mm:.1f} mm in their plane")
    return step, slice_mm, tuple(notes)
