from __future__ import annotations

import math

import numpy as np
import pytest

from ctct.evaluation.score import (
    ASSD,
    DICE,
    HD95,
    JACCARD,
    NOT_LABELLED,
    SliceCounts,
    VolumeScore,
    count_slices,
    dice_by_region,
    empty_in,
    find_unlabelled,
    metrics_by_structure,
)
from ctct.labels import LV, MYO, RV, VALUE


def test_metrics_of_a_single_slice() -> None:
    prediction = np.zeros((1, 4, 4), np.uint8)
    reference = prediction.copy()
    prediction[0, 1, 1:3] = VALUE[LV]
    reference[0, 1, 2] = VALUE[LV]
    metrics = metrics_by_structure(prediction, reference, (8.0, 2.0, 1.5))
    # |A| = 2, |B| = 1, |A∩B| = 1. Distances in one list: 1.5 and 0 mm one way, 0 mm the other. The
    # 8 mm between slices play no part.
    assert metrics[LV][DICE] == pytest.approx(2 / 3)
    assert metrics[LV][JACCARD] == pytest.approx(1 / 2)
    assert metrics[LV][ASSD] == pytest.approx((1.5 + 0 + 0) / 3)
    assert metrics[LV][HD95] == pytest.approx(1.5 * 0.9)  # 95 % of the way along 0, 0, 1.5
    assert metrics[RV][DICE] == 1  # both are empty
    assert math.isnan(metrics[RV][HD95])


def test_without_spacing_distances_are_undefined() -> None:
    labels = np.full((2, 3, 3), VALUE[MYO], np.uint8)
    metrics = metrics_by_structure(labels, labels, None)[MYO]
    assert metrics[DICE] == 1
    assert math.isnan(metrics[HD95])
    assert math.isnan(metrics[ASSD])


def test_dice_by_thirds_of_the_reference() -> None:
    reference = np.zeros((4, 3, 3), np.uint8)
    reference[:3, 1, 1] = VALUE[LV]  # one slice per third; the last slice is outside
    reference[0, 1, 2] = VALUE[LV]  # the base is wider
    prediction = reference.copy()
    prediction[2] = 0
    prediction[3] = VALUE[LV]
    regions = dice_by_region(prediction, reference)
    assert {name: dice[LV] for name, dice in regions.items()} == {"base": 1, "mid": 1, "apex": 0}
    reference[:2] = 0
    assert list(dice_by_region(prediction, reference)) == ["mid"]


def test_missed_and_false_slices_by_thirds_of_the_reference() -> None:
    reference = np.zeros((6, 3, 3), np.uint8)
    reference[1:5, 1, 1] = VALUE[LV]  # a slice of base, two of mid, one of apex
    reference[1, 1, 2] = VALUE[LV]  # the base is wider
    reference[1:3, 0, 0] = VALUE[RV]
    prediction = reference.copy()
    prediction[0, 0, 0] = VALUE[RV]  # one slice too far at the base
    prediction[2] = 0  # RV and LV missed in the first slice of mid
    prediction[3, 0, 0] = VALUE[RV]  # and RV false in the second
    prediction[5, 1, 1] = VALUE[LV]  # one too far at the apex
    counts = count_slices(prediction, reference)
    assert {region: c[RV] for region, c in counts.items()} == {
        "base": SliceCounts(missed=0, present=1, false=1, absent=1),
        "mid": SliceCounts(missed=1, present=1, false=1, absent=1),
        "apex": SliceCounts(missed=0, present=0, false=0, absent=2),
    }
    assert {region: c[LV] for region, c in counts.items()} == {
        "base": SliceCounts(missed=0, present=1, false=0, absent=1),
        "mid": SliceCounts(missed=1, present=2, false=0, absent=0),
        "apex": SliceCounts(missed=0, present=1, false=1, absent=1),
    }
    turned = count_slices(prediction[::-1], reference[::-1])
    assert turned == counts  # whichever end of the stack is the base
    assert not count_slices(prediction, np.zeros_like(reference))


def test_thirds_of_the_right_ventricle_where_the_reference_has_no_other() -> None:
    reference = np.zeros((4, 3, 3), np.uint8)
    reference[1:, 1, 1] = VALUE[RV]
    reference[1, 1, 2] = VALUE[RV]  # the base is wider
    prediction = reference.copy()
    prediction[0, 1, 1] = VALUE[RV]  # one slice too far at the base
    prediction[3] = 0  # the apex is missed
    counts = count_slices(prediction, reference)
    assert {region: c[RV] for region, c in counts.items()} == {
        "base": SliceCounts(missed=0, present=1, false=1, absent=1),
        "mid": SliceCounts(missed=0, present=1, false=0, absent=0),
        "apex": SliceCounts(missed=1, present=1, false=0, absent=0),
    }


def test_a_structure_is_not_labelled_where_five_slices_show_a_heart_without_it() -> None:
    reference = np.zeros((7, 2, 2), np.uint8)
    reference[:4, 0, 0] = VALUE[LV]
    assert find_unlabelled(reference) == []
    reference[6, 0, 0] = VALUE[LV]
    assert find_unlabelled(reference) == [RV, MYO]
    reference[0, 1, 1] = VALUE[RV]
    assert find_unlabelled(reference) == [MYO]


def test_a_structure_that_is_not_labelled_has_no_value() -> None:
    metrics = {
        s: {DICE: d, JACCARD: d, HD95: 1.0, ASSD: 1.0}
        for s, d in zip((RV, MYO, LV), (0, 0.5, 0.8), strict=True)
    }
    counts = {"mid": dict.fromkeys(metrics, SliceCounts(1, 2, 3, 4))}
    regions = {"mid": dict.fromkeys(metrics, 0.5)}
    ml = dict.fromkeys(metrics, 10.0)
    empty = {RV: "reference", MYO: "", LV: ""}
    score = VolumeScore("a", "a", 0, "", metrics, regions, counts, empty, ml, ml).leave_out([RV])
    assert score.mean_dice == pytest.approx((0.5 + 0.8) / 2)
    assert score.empty == {RV: NOT_LABELLED, MYO: "", LV: ""}
    assert all(math.isnan(value) for value in score.metrics[RV].values())
    assert math.isnan(score.regions["mid"][RV])
    assert list(score.slices["mid"]) == [MYO, LV]
    assert [math.isnan(v[RV]) for v in (score.predicted_ml, score.reference_ml)] == [True, True]
    assert score.predicted_ml[LV] == 10.0


def test_rates_of_slices() -> None:
    counts = SliceCounts(1, 4, 2, 5).add(SliceCounts(1, 1, 0, 0))
    assert (counts.missed_rate, counts.false_rate) == (2 / 5, 2 / 5)
    assert math.isnan(SliceCounts().missed_rate)
    assert math.isnan(SliceCounts().false_rate)


def test_which_mask_is_empty() -> None:
    with_rv, without = np.array([[[1]]], np.uint8), np.array([[[0]]], np.uint8)
    assert empty_in(with_rv, with_rv, VALUE[RV]) == ""
    assert empty_in(with_rv, without, VALUE[RV]) == "reference"
    assert empty_in(without, with_rv, VALUE[RV]) == "prediction"
    assert empty_in(without, without, VALUE[RV]) == "both"


def test_mean_dice() -> None:
    metrics = {RV: {DICE: 0.5}, MYO: {DICE: 0.8}, LV: {DICE: 0.8}}
    assert VolumeScore("a", "a", 0, "", metrics, {}, {}, {}).mean_dice == pytest.approx(0.7)
