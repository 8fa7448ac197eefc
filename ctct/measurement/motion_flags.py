"""Whether the frames of a patient show one heart, and its slices contract from ED to ES.

The limits are wider than what the manual labels and the predictions of 80 ACDC patients have at ED
and ES; the comments give the extremes of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE, bounding_box
from ctct.measurement.masks import Mask
from ctct.measurement.quality_flags import REVIEW, Flag, name_slices

#: How much larger a ventricle may be at ES than at ED in a slice, as a share of its largest area at
#: ED: at most 0.10 of manual labels.
_MAX_GROWTH = 0.12
#: Common part of two LVs, as a share of the smaller one: at least 0.84.
_MIN_OVERLAP = 0.7
#: Dice of two LVs with their walls: at least 0.66.
_MIN_WALL_DICE = 0.5
#: In-plane distance of the centers of two LVs: at most 11 mm.
_MAX_SHIFT_MM = 15.0
#: Volume of the myocardium over that at ED: 0.88 to 1.47.
_MIN_MUSCLE, _MAX_MUSCLE = 0.7, 1.65
#: By how much the direction from LV to RV turns: at most 31°.
_MAX_TURN_DEG = 45.0
#: The frames named in a flag.
_MAX_NAMED = 5

LabelMap = npt.NDArray[np.integer]


def motion_flags(
    frames: Sequence[LabelMap], ed: int | None, es: int | None, spacing_mm: tuple[float, float]
) -> list[Flag]:
    """Flags of a patient whose frames hardly show one heart, or one that contracts.

    Args:
        frames: (Z, H, W) label map of each, of one grid; no flag where their shapes differ.
        ed: number of the ED frame; None where there is only one frame.
        es: likewise for ES.
        spacing_mm: of rows and of columns.
    """
    if ed is None or es is None or ed == es or len({frame.shape for frame in frames}) > 1:
        return []
    rows, columns = bounding_box(np.stack(frames))  # beyond them nothing is labelled
    frames = [frame[:, rows, columns] for frame in frames]
    return [*_another_heart(frames, ed, es, spacing_mm), *_growth(frames[ed], frames[es])]


def _another_heart(
    frames: Sequence[LabelMap], ed: int, es: int, spacing_mm: tuple[float, float]
) -> Iterator[Flag]:
    """A flag of frames that are not of the heart of the ED frame."""
    found = {n: compare_hearts(frames[ed], frame, spacing_mm) for n, frame in enumerate(frames)}
    others = [n for n, differences in found.items() if differences]
    if not others:
        return
    first = es if es in others else others[0]
    if first == es:
        which = "ED and ES hardly show one heart"
    else:
        more = ", …" if len(others) > _MAX_NAMED else ""
        shown = ", ".join(map(str, others[:_MAX_NAMED])) + more
        which = f"frames {shown} (from 0) hardly show the heart of the ED frame"
    yield Flag(
        REVIEW,
        f"{which}: {' and '.join(found[first])}; check that all are of one patient and one scan",
    )


def compare_hearts(one: LabelMap, other: LabelMap, spacing_mm: tuple[float, float]) -> list[str]:
    """How two label maps (Z, H, W) differ that one heart never does; empty where one has no LV."""
    lvs = [frame == VALUE[LV] for frame in (one, other)]
    sizes = [int(np.count_nonzero(lv)) for lv in lvs]
    if not all(sizes):
        return []
    muscles = [frame == VALUE[MYO] for frame in (one, other)]
    walls = [lv | muscle for lv, muscle in zip(lvs, muscles, strict=True)]
    differences = []
    overlap = int(np.count_nonzero(lvs[0] & lvs[1])) / min(sizes)
    if overlap < _MIN_OVERLAP:
        differences.append(f"of the smaller LV, {100 * overlap:.0f} % lie within the other one")
    dice = 2 * int(np.count_nonzero(walls[0] & walls[1])) / sum(map(np.count_nonzero, walls))
    if dice < _MIN_WALL_DICE:
        differences.append(f"the LV with its wall has a Dice of {dice:.2f}")
    centers = [_center_mm(lv, spacing_mm) for lv in lvs]
    shift_mm = float(np.hypot(*(centers[1] - centers[0])))
    if shift_mm > _MAX_SHIFT_MM:
        differences.append(f"the LV lies {shift_mm:.0f} mm away")
    muscle = _ratio(*muscles)
    if not _MIN_MUSCLE <= muscle <= _MAX_MUSCLE:
        differences.append(f"the myocardium has {100 * muscle:.0f} % of its volume")
    rvs = [frame == VALUE[RV] for frame in (one, other)]
    if all(rv.any() for rv in rvs):
        ways = [_center_mm(rv, spacing_mm) - at for rv, at in zip(rvs, centers, strict=True)]
        angles = [np.degrees(np.arctan2(row, column)) for row, column in ways]
        turn = abs((float(angles[1] - angles[0]) + 180) % 360 - 180)
        if turn > _MAX_TURN_DEG:
            differences.append(f"the RV lies in another direction, turned by {turn:.0f}°")
    return differences


def _growth(at_ed: LabelMap, at_es: LabelMap) -> Iterator[Flag]:
    """Flags of ventricles that are larger at ES than at ED in some slice."""
    for structure in (LV, RV):
        ed, es = ((frame == VALUE[structure]).sum(axis=(1, 2)) for frame in (at_ed, at_es))
        if not ed.any():
            continue
        growth = (es - ed) / ed.max()
        slices = np.flatnonzero(growth > _MAX_GROWTH)
        if slices.size:
            yield Flag(
                REVIEW,
                f"the {structure} is larger at ES than at ED in {name_slices(slices)}, by up to "
                f"{100 * growth.max():.0f} % of its largest area: at the base an atrium, or the "
                f"outflow tract, may be labelled as {structure}",
            )


def _center_mm(mask: Mask, spacing_mm: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Mean row and column of a mask (Z, H, W)."""
    counts = mask.sum(axis=0)
    means = [
        float((np.arange(n) * counts.sum(axis=1 - axis)).sum() / counts.sum())
        for axis, n in enumerate(counts.shape)
    ]
    return np.asarray(means) * spacing_mm


def _ratio(one: Mask, other: Mask) -> float:
    """Voxels of the other mask over those of the first; 1 where either has none."""
    counts = [int(np.count_nonzero(mask)) for mask in (one, other)]
    return counts[1] / counts[0] if all(counts) else 1.0
