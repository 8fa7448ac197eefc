from __future__ import annotations

import math

import numpy as np
import pytest
from tests_support import phantom

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.predicted_dice import (
    INDICATORS,
    MODELS,
    TERMS,
    DiceModel,
    explain_dice,
    predict_dice,
    structure_indicators,
)
from ctct.measurement.quality_flags import frame_flags
from ctct.measurement.quality_indicators import FrameIndicators, frame_indicators


def heart(slices: int = 6) -> np.ndarray:
    """Labels (Z, H, W) whose last slice is the apex, smaller than the others and without RV."""
    labels = phantom(60, 70, slices)
    labels[-1] = np.where(np.indices((60, 70))[0] < 30, labels[-1], 0)
    labels[-1][labels[-1] == VALUE[RV]] = 0
    return labels


def measure(labels: np.ndarray, disagreement: np.ndarray | None = None) -> FrameIndicators:
    image = np.array([20, 180, 80, 200], np.float32)[labels]
    image += np.random.default_rng(0).normal(0, 20, labels.shape).astype(np.float32)
    doubt = np.zeros(labels.shape, np.float32) if disagreement is None else disagreement
    return frame_indicators(image, labels, doubt)


def test_indicators_by_hand() -> None:
    # One slice of 8 x 10 pixels: RV in columns 1 and 2, a wall in 4 to 8 with the LV inside.
    labels = np.zeros((1, 8, 10), np.uint8)
    labels[0, 2:6, 1:3] = VALUE[RV]
    labels[0, 1:7, 4:9] = VALUE[MYO]
    labels[0, 2:6, 5:8] = VALUE[LV]
    mask = {s: labels == VALUE[s] for s in (RV, MYO, LV)}
    doubt = np.zeros(labels.shape, np.float32)
    doubt[0, 3, 1] = 0.5  # RV
    doubt[0, 3, 0] = 0.25  # beside the RV
    doubt[0, 0, 0] = 0.125  # far from both
    doubt[0, 3, 6] = doubt[0, 0, 5] = 0.5  # LV, and background beside the wall
    found = structure_indicators(mask, doubt, float(doubt.sum()), math.nan, np.array([True]))
    total, rv, myo, lv = 1.875, 8, 18, 12
    expected = {
        RV: {"doubt": 0.875 / rv, "edge": 0.25 / rv, "voxels": rv, "beyond": 0, "lack": 0},
        MYO: {"doubt": total / myo, "open ring": 0},
        LV: {"doubt": total / lv, "open ring": 0, "voxels": lv},
    }
    for structure, values in expected.items():
        assert found[structure] == pytest.approx(values)


def test_rv_that_is_lost_at_the_base_in_either_order_of_slices() -> None:
    labels = heart()
    labels[:3][labels[:3] == VALUE[RV]] = 0
    wall = np.isin(labels, (VALUE[MYO], VALUE[LV])).sum(axis=(1, 2))
    for stack in (labels, labels[::-1]):
        found = measure(stack).by_structure[RV]
        assert found["beyond"] == 3
        assert found["lack"] == pytest.approx((wall[:3].sum() + wall[-1]) / wall.sum())
    whole = measure(heart())
    assert whole.by_structure[RV]["beyond"] == 0
    assert measure(labels).predicted_dice[RV] < whole.predicted_dice[RV]


def test_slices_without_a_picture_do_not_count_as_the_base() -> None:
    labels = np.concatenate([np.zeros((2, 60, 70), np.uint8), heart()])
    image = np.array([20, 180, 80, 200], np.float32)[labels]
    image[1, 0, 0] = 5
    found = frame_indicators(image, labels, np.zeros(labels.shape, np.float32))
    assert found.by_structure[RV]["beyond"] == 1


def test_no_indicator_of_doubt_raises_the_dice() -> None:
    for structure, model in MODELS.items():
        assert tuple(model.weights) == tuple(model.typical) == INDICATORS[structure]
        assert min(model.weights.values()) >= 0
    values = [0.0, 0.001, 0.1, 0.5, 1, 5]
    for name, term in TERMS.items():
        terms = [term(value) for value in values if value or name != "voxels"]
        assert sorted(terms, reverse=name == "voxels") == terms


def test_a_dice_by_hand() -> None:
    model = DiceModel(2.0, {"doubt": 1.0, "beyond": 0.5}, {"doubt": math.e, "beyond": 0})
    # The logit is 2 - 1·log(e) - 0.5·2 = 0.
    found = {"doubt": math.e, "beyond": 2.0}
    assert model.predict(found) == pytest.approx(0.5)
    assert model.find_reasons(found) == ["beyond"]
    assert model.predict(found | {"beyond": 9.0}) == model.predict(found | {"beyond": 4.0})


def test_what_is_missing_or_not_known() -> None:
    labels = heart()
    labels[labels == VALUE[RV]] = 0
    found = measure(labels)
    assert found.predicted_dice[RV] == 0
    assert [flag for flag in frame_flags(found) if "expected" in flag.reason] == []
    single = measure(heart(), np.full(heart().shape, np.nan, np.float32))
    assert all(math.isnan(value) for value in single.predicted_dice.values())
    assert predict_dice({}) == {RV: 0, MYO: 0, LV: 0}


def test_a_low_dice_is_flagged_with_its_reasons() -> None:
    labels = heart()
    assert frame_flags(measure(labels)) == []
    labels[:3][labels[:3] == VALUE[RV]] = 0
    doubt = np.zeros(labels.shape, np.float32)
    doubt[:3, 24:36, 17:29] = 0.6  # where the RV was
    flags = frame_flags(measure(labels, doubt))
    flag = next(flag for flag in flags if flag.reason.startswith("RV Dice"))
    assert flag.level in ("review", "reject")
    assert "it is missing in the 3 slices at the base" in flag.reason
    assert "the networks disagree about it" in flag.reason


def test_each_reason_is_in_words() -> None:
    worst = {"doubt": 9.0, "edge": 9.0, "voxels": 9.0, "beyond": 1.0, "lack": 0.5}
    words = explain_dice(RV, worst)
    for part in ("disagree about it", "outline", "small", "50 % of the LV and its wall"):
        assert part in words
    assert explain_dice(LV, {"doubt": 0.1, "open ring": 0.4, "voxels": 5000.0}) == (
        "40 % of the LV's outline has no muscle beside it"
    )
