"""Whether the slices and the frames of a scan are what its axes say they are.

Two pictures are compared by their correlation. Phases of one slice that follow each other have 0.99
and more in four real cines, any two of them 0.94 as a median. Slices are less alike: of 264 stacks
of ACDC and CHLA, with slices 5 to 10 mm apart, none has more than 0.951 between any two.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, VALUE
from ctct.measurement.masks import has_picture
from ctct.measurement.quality_flags import REJECT, REVIEW, Flag, name_slices

#: Fewer slices do not cover a heart.
MIN_SLICES = 5
#: No heart is taller, with the room that a stack leaves at both ends.
MAX_HEIGHT_MM = 220.0

#: Pictures at least this far apart are phases of one slice if two in five pairs are so much alike.
_MIN_APART_MM, _PHASE_LIKENESS, _SHARE = 4.9, 0.955, 0.4
#: Two slices that are this much alike are one slice.
_SAME_SLICE = 0.97
#: Frames that are less alike than this are not phases of one beat.
_MIN_FRAME_LIKENESS = 0.5

#: A cine has at least as many phases.
_MIN_FRAMES = 6
#: Slices whose LV changes by less over the cycle tell nothing of time.
_MIN_MOTION = 0.1
#: Correlation of the LV's area in a slice with that in all others: at least 0.66 in the inner
#: slices of five cines, at most 0.44 in some slice where the phases of half of them are shifted.
_MIN_TOGETHER = 0.5
#: In fewer slices, chance decides which are alike.
_MIN_ORDERED = 8
#: Slices of one body are more alike than this to the slice that is most alike.
_MIN_ALIKE = 0.3
#: Share of the slices that are most alike to a neighbor: at least 0.8 in 264 stacks of ACDC and
#: CHLA, at most 0.2 once their even slices come before the odd ones.
_MIN_IN_ORDER = 0.6

_SIDE = 64  # pixels per side of the pictures that are compared: coarse ones hold less noise
_NOT_ONE_BEAT = (
    "the frames are less alike than those of one heartbeat: frames of several patients, slices "
    "saved as frames, or images of several kinds"
)
_REMEDY = "save it with the axes column, row, slice, frame"


def stack_flags(voxels: npt.NDArray[np.float32], slice_spacing_mm: float) -> list[Flag]:
    """Flags of a scan with few slices, with slices like phases, or with frames like slices.

    Args:
        voxels: (T, Z, H, W) intensities.
        slice_spacing_mm: NaN where it is not known.
    """
    pictures = coarsen(voxels)
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
        reasons.append(_NOT_ONE_BEAT)
    flags = [Flag(REJECT, reason) for reason in reasons]
    copies = count_copies(voxels)
    if copies:
        shown = (
            "1 image is an exact copy of another"
            if copies == 1
            else f"{copies} images are exact copies of others"
        )
        flags.append(
            Flag(
                REVIEW,
                f"{shown}, so phases or slices stand in place of those that were acquired; export "
                "the scan again",
            )
        )
    if not reasons and not is_in_order(pictures[0]):
        flags.append(
            Flag(
                REVIEW,
                "most slices are more alike to others than to their neighbors, so they are hardly "
                "in order from base to apex; save them in order",
            )
        )
    if not reasons and not copies and (pairs := find_repeated(pictures[0], slice_spacing_mm)):
        shown = ", ".join(f"{a} and {b}" for a, b in pairs)
        flags.append(
            Flag(
                REVIEW,
                f"slices {shown} (from 0) are as alike as images of one slice, so one may stand "
                "for another, or be there twice; export the scan again",
            )
        )
    if empty := find_empty(voxels):
        hold = "hold" if len(empty) > 1 else "holds"
        flags.append(
            Flag(
                REVIEW,
                f"{name_slices(empty)} {hold} no picture in all or some frames, as if the phases "
                "had different numbers of slices; export the scan again",
            )
        )
    slices = voxels.shape[1]
    if slices < MIN_SLICES:
        shown = "a single slice" if slices == 1 else f"a stack of {slices} slices"
        flags.append(Flag(REVIEW, f"{shown} does not cover a heart, so volumes are too small"))
    return flags


def beat_flags(pictures: npt.NDArray[np.float32]) -> list[Flag]:
    """A flag of files of single frames that are not of one heartbeat.

    Args:
        pictures: (T, Z, H, W) of all frames, as :func:`coarsen` makes them.
    """
    return [] if has_frames_of_one_beat(pictures) else [Flag(REJECT, _NOT_ONE_BEAT)]


def timing_flags(labels: npt.NDArray[np.integer]) -> list[Flag]:
    """A flag of a cine whose slices do not beat together, as where their phases are out of order.

    The area of the LV in each slice is compared with that in all others over the cycle. Two slices
    at either end of the ventricle are left out: they move through the plane of the image.

    Args:
        labels: (T, Z, H, W).
    """
    areas = (labels == VALUE[LV]).sum(axis=(2, 3)).astype(float)  # (T, Z)
    inside = np.flatnonzero(areas.any(axis=0))[2:-2]
    moving = [z for z in inside if np.ptp(areas[:, z]) >= _MIN_MOTION * areas[:, z].mean()]
    others = areas.sum(axis=1)
    out_of_step = [
        z
        for z in moving
        if len(areas) >= _MIN_FRAMES
        and np.corrcoef(areas[:, z], others - areas[:, z])[0, 1] < _MIN_TOGETHER
    ]
    if not out_of_step:
        return []
    return [
        Flag(
            REVIEW,
            f"the LV in {name_slices(out_of_step)} does not beat with the other slices: phases may "
            "be out of order or of another beat, so look at the cine",
        )
    ]


def is_one_stack(voxels: npt.NDArray[np.float32], slice_spacing_mm: float) -> bool:
    """Whether the slices of (T, Z, H, W) lie in order, as the first frame shows."""
    first = coarsen(voxels[:1])[0]
    return not has_phases_as_slices(first, slice_spacing_mm) and is_in_order(first)


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


def find_repeated(stack: npt.NDArray[np.float32], slice_spacing_mm: float) -> list[tuple[int, int]]:
    """Numbers of any two slices (Z, H, W) of one frame that show the same."""
    first, second = np.nonzero(np.triu(_correlate(stack) >= _SAME_SLICE, 1))
    apart = (second - first) * slice_spacing_mm >= _MIN_APART_MM
    return list(zip(first[apart].tolist(), second[apart].tolist(), strict=True))


def find_empty(voxels: npt.NDArray[np.float32]) -> list[int]:
    """Numbers of the slices of (T, Z, H, W) without a picture in some frame.

    The outermost slices may have none in any frame: a stack is padded with such slices.
    """
    is_picture = has_picture(voxels)
    shown = np.flatnonzero(is_picture.any(axis=0))
    if not shown.size:
        return []
    within = slice(shown[0], shown[-1] + 1)
    return [int(z + shown[0]) for z in np.flatnonzero(~is_picture[:, within].all(axis=0))]


def count_copies(voxels: npt.NDArray[np.float32]) -> int:
    """Images (H, W) of (T, Z, H, W) that equal another one, pixel for pixel; no empty ones."""
    seen: set[bytes] = set()
    copies = 0
    for image in voxels.reshape(-1, *voxels.shape[2:]):
        if image.min() == image.max():
            continue
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        copies += digest in seen
        seen.add(digest)
    return copies


def is_in_order(stack: npt.NDArray[np.float32]) -> bool:
    """Whether most slices (Z, H, W) of one frame are most alike to a neighbor.

    True for a few slices, and for slices that are alike to none.
    """
    count = len(stack)
    if count < _MIN_ORDERED:
        return True
    likeness = _correlate(stack)
    np.fill_diagonal(likeness, -np.inf)
    if np.median(likeness.max(axis=1)) < _MIN_ALIKE:
        return True
    distance = np.abs(likeness.argmax(axis=1) - np.arange(count))
    return bool((distance == 1).mean() >= _MIN_IN_ORDER)


def has_frames_of_one_beat(voxels: npt.NDArray[np.float32]) -> bool:
    """Whether each frame of (T, Z, H, W) resembles the first, in most slices."""
    lowest = [_correlate(phases)[0].min() for phases in voxels.swapaxes(0, 1) if phases.any()]
    return not lowest or bool(np.median(lowest) >= _MIN_FRAME_LIKENESS)


def coarsen(voxels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
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
