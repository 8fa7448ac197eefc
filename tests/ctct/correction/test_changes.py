"""What was changed, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ctct.correction.changes import describe_changes, find_changes
from ctct.measurement.volumes import frame_volumes, measure_frames


def cine() -> np.ndarray:
    """Two frames of one slice; the LV has 4 and 2 pixels, the wall 4."""
    labels = np.zeros((2, 1, 4, 4), np.uint8)
    labels[0, 0, 0] = 3
    labels[1, 0, 0, :2] = 3
    labels[:, 0, 1] = 2
    return labels


def test_voxels_volumes_and_dice_are_those_of_the_frames_that_changed() -> None:
    edited = cine()
    edited[1, 0, 0, 2] = 3  # LV 2 → 3
    edited[1, 0, 1, 0] = 0  # MYO 4 → 3
    changes = find_changes("cine", cine(), edited, voxel_ml=0.5)
    assert (changes.voxels, changes.frames) == (2, 1)
    rv, myo, lv = changes.by_frame
    assert (lv.frame, lv.added, lv.removed, lv.automatic_ml, lv.edited_ml) == (1, 1, 0, 1.0, 1.5)
    assert lv.dice == pytest.approx(2 * 2 / (2 + 3))
    assert (myo.added, myo.removed) == (0, 1)
    assert myo.dice == pytest.approx(2 * 3 / (4 + 3))
    assert (rv.added, rv.removed, rv.dice) == (0, 0, 1.0)


def test_one_line_says_by_how_much_the_indices_moved() -> None:
    edited = cine()
    edited[1, 0, 0, 2] = 3
    changes = find_changes("cine", cine(), edited, voxel_ml=0.5)
    before, after = (
        measure_frames(frame_volumes(labels, 0.5), 0, 1) for labels in (cine(), edited)
    )
    # EDV 2 mL; ESV 1 → 1.5 mL, so EF 50 → 25 %.
    assert describe_changes([changes], before, after) == (
        "1 voxel in 1 frame; Dice RV 1.000, MYO 1.000, LV 0.800; LVEDV +0.0 mL; LVESV +0.5 mL; "
        "LVEF -25.0 points; LVM +0.0 g"
    )


def test_other_phases_are_told() -> None:
    edited = cine()
    edited[1, 0, 0] = 3
    edited[0, 0, 0, 0] = 0
    changes = find_changes("cine", cine(), edited, voxel_ml=0.5)
    before, after = (measure_frames(frame_volumes(labels, 0.5)) for labels in (cine(), edited))
    assert describe_changes([changes], before, after).endswith("ED 0 and ES 1 became ED 1 and ES 0")


def test_nothing_is_said_where_nothing_was_changed() -> None:
    changes = find_changes("cine", cine(), cine(), voxel_ml=0.5)
    assert (changes.voxels, changes.frames, changes.by_frame) == (0, 0, ())
    measured = measure_frames(frame_volumes(cine(), 0.5))
    assert describe_changes([changes], measured, measured) == ""
