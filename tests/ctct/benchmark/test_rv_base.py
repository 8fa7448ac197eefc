from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctct.benchmark.rv_base import (
    BaseTrial,
    cross_validate_base,
    fit_base_model,
    measure_base,
)
from ctct.errors import InputError
from ctct.labels import LV, MYO, RV, VALUE


def trial(patient: int, is_false: bool) -> BaseTrial:
    """A heart with RV of 6 rows, but of one row in the first slice if that is false."""
    labels = np.zeros((6, 24, 24), np.uint8)
    labels[:, 8:16, 8:16] = VALUE[MYO]
    labels[:, 10:14, 10:14] = VALUE[LV]
    labels[:, 9:15, 4:8] = VALUE[RV]
    labels[-1] = 0
    labels[-1, 10:14, 10:14] = VALUE[MYO]
    truth = labels == VALUE[RV]
    if is_false:
        labels[0, 10:15, 4:8] = 0
        truth[0] = False
    return BaseTrial(Path("a"), f"p{patient}", labels, truth)


def test_slices_and_dice_by_hand() -> None:
    # 4 false voxels beside 4 slices of 24: Dice 2 · 96 / (96 + 100).
    found = measure_base([trial(0, True)], [None])
    assert (found.changed, found.missed, found.false) == (0, 0, 1)
    assert found.dice == pytest.approx(192 / 196)
    removed = measure_base([trial(0, True), trial(1, False)], [0, 0])
    assert (removed.frames, removed.changed, removed.missed, removed.false) == (2, 2, 1, 0)


def test_a_fit_to_other_patients_finds_what_is_false() -> None:
    trials = [trial(n, n % 2 == 1) for n in range(20)]
    assert cross_validate_base(trials) == [0 if n % 2 else None for n in range(20)]
    assert fit_base_model(trials).weights["lost"] > 0


def test_without_a_false_slice_there_is_nothing_to_fit() -> None:
    with pytest.raises(InputError, match="slices beyond the base"):
        fit_base_model([trial(n, False) for n in range(4)])
