from __future__ import annotations

import numpy as np
import pytest

from ctct.measurement.heart_box import HeartBox, heart_box


def test_the_box_around_the_heart_leaves_out_what_lies_elsewhere() -> None:
    labels = np.zeros((2, 60, 60), np.uint8)
    labels[0, 10:20, 30:36] = 3
    labels[0, 15:24, 28:30] = 1
    labels[0, 0, 0] = 3  # an island
    labels[1, 40:50, 40:50] = 1  # larger than the RV beside the LV
    box = heart_box(labels)
    assert box == HeartBox((10, 28), (23, 35))
    assert box.center == (16.5, 31.5)
    assert box.extent_mm((1.0, 1.0)) == 14.0
    assert box.extent_mm((1.0, 3.0)) == pytest.approx(24.0)


def test_without_an_lv_there_is_none() -> None:
    labels = np.zeros((1, 20, 20), np.uint8)
    assert heart_box(labels) is None
    labels[0, 5, 5] = 1
    assert heart_box(labels) is None
