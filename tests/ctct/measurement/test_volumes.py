from __future__ import annotations

import math

import numpy as np
import pytest

from ctct.errors import InputError
from ctct.measurement.volumes import INDEX_COLUMNS, frame_volumes, measure_frames


def test_two_voxels_of_11_by_12_by_10_mm() -> None:
    labels = np.zeros((1, 1, 2, 2), np.uint8)
    labels[0, 0, 0] = 3
    (frame,) = frame_volumes(labels, voxel_ml=1.1 * 1.2 * 10 / 1000)
    assert frame.volume_ml == {"RV": 0.0, "MYO": 0.0, "LV": pytest.approx(0.0264)}


def test_indices_by_hand() -> None:
    labels = np.zeros((3, 1, 10, 10), np.uint8)
    for t, (rv, myo, lv) in enumerate([(20, 12, 18), (30, 10, 20), (15, 14, 8)]):
        labels[t].flat[: rv + myo + lv] = [1] * rv + [2] * myo + [3] * lv
    measured = measure_frames(frame_volumes(labels, voxel_ml=2.0))
    assert (measured.ed, measured.es) == (1, 2)
    assert measured.indices == pytest.approx(
        {
            "LVEDV (mL)": 40,
            "LVESV (mL)": 16,
            "LVSV (mL)": 24,
            "LVEF (%)": 60,
            "RVEDV (mL)": 60,
            "RVESV (mL)": 30,
            "RVSV (mL)": 30,
            "RVEF (%)": 50,
            "LVM (g)": 21,  # 10 voxels x 2 mL x 1.05 g/mL
        }
    )
    assert tuple(measured.indices) == INDEX_COLUMNS


def test_phases_given_win_over_the_curve() -> None:
    labels = np.zeros((2, 1, 4, 4), np.uint8)
    labels[1] = 3
    measured = measure_frames(frame_volumes(labels, 1.0), ed=0, es=1)
    assert (measured.ed, measured.es) == (0, 1)
    assert math.isnan(measured.indices["LVEF (%)"])  # EDV is 0


def test_one_frame_has_volumes_but_no_indices() -> None:
    measured = measure_frames(frame_volumes(np.ones((1, 1, 2, 2), np.uint8), 0.5))
    assert measured.frames[0].volume_ml["RV"] == 2.0
    assert measured.indices == {}


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="got \\(2, 2\\)"):
        frame_volumes(np.zeros((2, 2), np.uint8), 1.0)
    with pytest.raises(InputError, match="no frame"):
        measure_frames([])
