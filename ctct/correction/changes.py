"""What a correction changed: voxels, volumes and overlap of each structure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.evaluation.overlap import dice
from ctct.labels import STRUCTURES, VALUE
from ctct.measurement.volumes import Measurements


@dataclass(frozen=True)
class FrameChange:
    """What was changed of a structure in one frame.

    Attributes:
        case: the case.
        frame: number of the frame in it, from 0.
        structure: RV, MYO or LV.
        added: voxels that have the label now.
        removed: voxels that had it.
        dice: of the automatic and the edited labels; 1 where both are empty.
        automatic_ml: volume of the automatic labels.
        edited_ml: volume now.
    """

    case: str
    frame: int
    structure: str
    added: int
    removed: int
    dice: float
    automatic_ml: float
    edited_ml: float


@dataclass(frozen=True)
class CaseChanges:
    """What was changed of a case.

    Attributes:
        voxels: number of voxels with another label.
        frames: number of frames that hold one.
        by_frame: of each frame that was changed, each structure.
        dice: structure to the Dice over all frames that were changed.
    """

    voxels: int
    frames: int
    by_frame: tuple[FrameChange, ...]
    dice: dict[str, float]


def find_changes(
    case: str,
    automatic: npt.NDArray[np.uint8],
    edited: npt.NDArray[np.uint8],
    voxel_ml: float,
) -> CaseChanges:
    """Compare the labels (T, Z, H, W) of a case before and after the correction."""
    changed = [t for t in range(len(edited)) if not np.array_equal(automatic[t], edited[t])]
    rows = []
    for t in changed:
        for structure in STRUCTURES:
            before, after = (labels[t] == VALUE[structure] for labels in (automatic, edited))
            rows.append(
                FrameChange(
                    case,
                    t,
                    structure,
                    int(np.count_nonzero(after & ~before)),
                    int(np.count_nonzero(before & ~after)),
                    dice(before, after),
                    float(np.count_nonzero(before) * voxel_ml),
                    float(np.count_nonzero(after) * voxel_ml),
                )
            )
    old, new = automatic[changed], edited[changed]
    return CaseChanges(
        int(np.count_nonzero(old != new)),
        len(changed),
        tuple(rows),
        {s: dice(old == VALUE[s], new == VALUE[s]) for s in STRUCTURES} if changed else {},
    )


#: Indices whose change the column ``edited`` tells.
_TOLD = ("LVEDV (mL)", "LVESV (mL)", "LVEF (%)", "RVEF (%)", "LVM (g)")


def describe_changes(
    changes: Iterable[CaseChanges], automatic: Measurements | None, edited: Measurements
) -> str:
    """One line on what was changed of a patient; "" where nothing was.

    Args:
        changes: of each of the patient's cases.
        automatic: measured on the automatic labels; None where they are not kept.
        edited: measured now.
    """
    changes = [change for change in changes if change.voxels]
    if not changes:
        return ""
    voxels = sum(change.voxels for change in changes)
    parts = [f"{_count(voxels, 'voxel')} in {_count(sum(c.frames for c in changes), 'frame')}"]
    parts.append(
        "Dice "
        + ", ".join(f"{s} {min(change.dice[s] for change in changes):.3f}" for s in STRUCTURES)
    )
    if automatic:
        before, after = automatic.indices, edited.indices
        parts += [
            f"{name.split()[0]} {after[name] - before[name]:+.1f} {_unit(name)}"
            for name in _TOLD
            if name in before and name in after and np.isfinite(after[name] - before[name])
        ]
        if automatic.phases != edited.phases:
            old, new = (
                " and ".join(f"{phase} {number}" for phase, number in m.phases.items())
                for m in (automatic, edited)
            )
            parts.append(f"{old} became {new}")
    return "; ".join(parts)


def _unit(index: str) -> str:
    unit = index.split("(")[1].rstrip(")")
    return "points" if unit == "%" else unit


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
