"""Whether slices lie side by side, and how far apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError

#: Centres of slices nearer to each other are the same slice; headers are rounded.
SAME_SLICE_MM = 0.5
#: Gaps between slices that differ by more than this from their mean are not of one stack.
EVEN = 0.2


def stack_step(
    places_mm: npt.NDArray[np.float64],
    normal: npt.NDArray[np.float64],
    pixel_mm: float,
    where: str,
    remedy: str,
) -> tuple[npt.NDArray[np.float64], float, tuple[str, ...]]:
    """The step from slice to slice, its length along the normal, and what is odd about it.

    The step is the mean one, which is oblique in a sheared stack. A lone slice has the normal for a
    step and no length, NaN.

    Args:
        places_mm: (slices, 3), the same point of each slice, in order along the normal.
        normal: (3,), unit vector at right angles to the slices.
        pixel_mm: a shift within the plane by more than this is odd.
        where: what the slices are of, for messages.
        remedy: what to do about missing slices, for the error.

    Raises:
        InputError: the gaps are too uneven.
    """
    if len(places_mm) == 1:
        return normal, float("nan"), ()
    notes = []
    step = (places_mm[-1] - places_mm[0]) / (len(places_mm) - 1)
    slice_mm = float(step @ normal)
    gaps = [b - a for a, b in pairwise(places_mm @ normal)]
    worst = max(abs(gap - slice_mm) for gap in gaps)
    apart = f"slices lie {min(gaps):.1f} to {max(gaps):.1f} mm apart"
    if worst > EVEN * slice_mm:
        raise InputError(f"{where}: {apart}, so some are missing; {remedy}")
    if worst > 0.02 * slice_mm:
        notes.append(f"{apart}; the mean, {slice_mm:.2f} mm, is used")
    off = places_mm - places_mm[0] - np.arange(len(places_mm))[:, None] * step
    off -= np.outer(off @ normal, normal)
    if (shift_mm := float(np.linalg.norm(off, axis=1).max())) > pixel_mm:
        notes.append(f"slices are shifted by up to {shift_mm:.1f} mm in their plane")
    return step, slice_mm, tuple(notes)
