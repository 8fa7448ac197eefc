from __future__ import annotations

import numpy as np
import pytest

from ctct.errors import InputError
from ctct.evaluation.overlap import dice, dice_by_structure


def mask(*values: int) -> np.ndarray:
    return np.array(values, bool)


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        (mask(1, 1, 0, 0), mask(1, 1, 0, 0), 1.0),
        (mask(1, 1, 0, 0), mask(0, 0, 1, 1), 0.0),
        (mask(1, 1, 1, 0), mask(0, 1, 1, 1), 2 / 3),  # 2 · 2 / (3 + 3)
        (mask(1, 1, 1, 0), mask(1, 0, 0, 0), 0.5),  # 2 · 1 / (3 + 1)
        (mask(0, 0, 0, 0), mask(0, 0, 0, 0), 1.0),  # neither sees it: they agree
        (mask(1, 0, 0, 0), mask(0, 0, 0, 0), 0.0),
        (mask(0, 0, 0, 0), mask(1, 0, 0, 0), 0.0),
        (mask(), mask(), 1.0),
    ],
)
def test_dice(prediction: np.ndarray, reference: np.ndarray, expected: float) -> None:
    assert dice(prediction, reference) == pytest.approx(expected, abs=1e-12)
    assert dice(reference, prediction) == pytest.approx(expected, abs=1e-12)


def test_dice_counts_every_dimension() -> None:
    prediction = np.zeros((2, 3, 4), bool)
    prediction[0] = True  # 12 voxels
    reference = np.ones((2, 3, 4), bool)  # 24 voxels
    assert dice(prediction, reference) == pytest.approx(2 * 12 / 36, abs=1e-12)


def test_dice_refuses_masks_of_different_shape() -> None:
    # (4,) and (1, 4) would broadcast and count the overlap wrongly.
    with pytest.raises(InputError, match=r"\(4,\) and \(1, 4\)"):
        dice(mask(1, 1, 0, 0), mask(1, 1, 0, 0)[None])


def test_dice_by_structure() -> None:
    prediction = np.array([0, 1, 1, 2, 2, 2, 0])
    reference = np.array([0, 1, 0, 2, 2, 1, 0])
    assert dice_by_structure(prediction, reference) == pytest.approx(
        {
            "RV": 0.5,  # 2 · 1 / (2 + 2)
            "MYO": 0.8,  # 2 · 2 / (3 + 2)
            "LV": 1.0,  # in neither
        },
        abs=1e-12,
    )
