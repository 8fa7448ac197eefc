"""Whether the slices and the frames of a scan are what its axes say they are.

Two pictures are compared by their correlation. Phases of one slice that follow each other have 0.99
and more in four real cines, any two of them 0.94 as a median. Slices are less alike: of 264 stacks
of ACDC and CHLA, with slices 5 to 10 mm apart, none has more than 0.93 between its neighbors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctct.measurement.quality_flags import REJECT, REVIEW, Flag

#: Fewer slices do not cover a heart.
MIN_SLICES = 5
#: No heart is taller, with the room that a stack leaves at both ends.
MAX_HEIGHT_MM = 220.0

#: Pictures at least this far apart are phases of one slice if two in five pairs are so much alike.
_MIN_APART_MM, _PHASE_LIKENESS, _SHARE = 4.9, 0.955, 0.4
#: Frames that are less alike than this are not phases of one beat.
_MIN_FRAME_LIKENESS = 0.5

_SIDE = 64  # pixels per side of the pictures that are compared: coarse ones hold less noise
_REMEDY = "save it with the axes column, row, slice, frame"


def stack_flags(voxels: npt.NDArray[np.float32], slice_spacing_mm: float) -> list[Flag]:
    """Flags of a scan with few slices, with slices like phases, or with frames like slices.

    Args:
        voxels: (T, Z, H, W) intensities.
        slice_spacing_mm: NaN where it is not known.
    """
    pictures = _coarsen(voxels)
    height_mm = (voxels.shape[1] - 1) * slice_spacing_mm
    reasons = []
    if has_phases_as_slices(pictures[0], slice_spacing_mm):
        reasons.append(
            "this looks like a time series saved as slices, which are as alike as the phases of "
            f"one slice: {_REMEDY}"
        )
    elif height_mm > MAX_HEIGHT_MM:
        reasons.append(
            f"the stack is {height_mm:.0f} mm tall, more than any heart: this looks like a time "
            f"series saved as slices, then {_REMEDY}; or it shows more than the heart, then leave "
            "out the other slices"
        )
    if not has_frames_of_one_beat(pictures):
        reasons.append(
            "the frames are less alike than those of one heartbeat: slices saved as frames, or "
            "images of several kinds"
        )
    flags = [Flag(REJECT, reason) for reason in reasons]
    slices = voxels.shape[1]
    if slices < MIN_SLICES:
        shown = "a single slice" if slices == 1 else f"a stack of {slices} slices"
        flags.append(Flag(REVIEW, f"{shown} does not cover a heart, so volumes are too small"))
    return flags


def has_phases_as_slices(stack: npt.NDArray[np.float32], slice_spacing_mm: float) -> bool:
    """Whether the slices (Z, H, W) of one frame are phases, of one slice or of several in turn."""
    likeness = _correlate(stack)
    for lag in range(1, len(stack)):
        pairs = np.diagonal(likeness, lag)
        if lag * slice_spacing_mm >= _MIN_APART_MM and (
            np.quantile(pairs, 1 - _SHARE) >= _PHASE_LIKENESS
        ):
            return True
    return False


def has_frames_of_one_beat(voxels: npt.NDArray[np.float32]) -> bool:
    """Whether each frame of (T, Z, H, W) resembles the first, in most slices."""
    lowest = [_correlate(phases)[0].min() for phases in voxels.swapaxes(0, 1) if phases.any()]
    return not lowest or bool(np.median(lowest) >= _MIN_FRAME_LIKENESS)


def _coarsen(voxels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Means of blocks of pixels of (T, Z, H, W); what is left over at the end is not used."""
    height, width = voxels.shape[2:]
    size = max(1, min(height, width) // _SIDE)
    rows, columns = height // size, width // size
    blocks = voxels[..., : rows * size, : columns * size]
    means = blocks.reshape(*voxels.shape[:2], rows, size, columns, size).mean(axis=(3, 5))
    return np.asarray(means, np.float32)


def _correlate(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(N, N) correlation of (N, H, W) pictures; 0 with one of a single gray value."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0, norms, 1)
    return rows @ rows.T
