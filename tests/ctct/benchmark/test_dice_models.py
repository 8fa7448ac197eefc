from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests_support import GOOD_INDICATORS

from ctct.benchmark.dice_models import (
    aurc,
    auroc,
    cross_validate,
    fit_logistic,
    fit_models,
    measure_success,
)
from ctct.benchmark.quality import Trial
from ctct.errors import InputError
from ctct.measurement.predicted_dice import INDICATORS, predict_dice

STRUCTURES = ("RV", "MYO", "LV")


def trials(patients: int = 24) -> list[Trial]:
    """Labels whose Dice is 1 / (1 + doubt), and whose other indicators tell nothing."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(patients):
        for _ in range(4):
            doubt = float(generator.uniform(0.02, 0.6))
            other = {"edge": 0.1, "voxels": 900.0, "beyond": 1.0, "lack": 0.1, "open ring": 0.0}
            by_structure = {
                s: {name: doubt if name == "doubt" else other[name] for name in INDICATORS[s]}
                for s in STRUCTURES
            }
            found.append(
                Trial(
                    folder=Path("a" if number % 2 else "b"),
                    patient=f"p{number}",
                    case="c",
                    damage="none",
                    dice=dict.fromkeys(STRUCTURES, 1 / (1 + doubt)),
                    indicators=replace(GOOD_INDICATORS, by_structure=by_structure),
                    level="ok",
                )
            )
    return found


def test_auroc_by_hand() -> None:
    # Bad 3 and 1 against good 2 and 1: 3 > 2, 3 > 1, 1 < 2, 1 = 1: (1 + 1 + 0 + 0.5) / 4.
    assert auroc([3, 1, 2, 1], [True, True, False, False]) == pytest.approx(0.625)
    assert math.isnan(auroc([1, 2], [True, True]))


def test_aurc_by_hand() -> None:
    # By doubt, the risks are 0, 0.4 and 0.2: their running means 0, 0.2 and 0.2.
    assert aurc([3, 1, 2], [0.8, 1.0, 0.6]) == pytest.approx(0.4 / 3)


def test_a_logistic_relation_is_found_and_weights_are_not_negative() -> None:
    terms = np.random.default_rng(0).normal(0, 1, (300, 2))
    dice = 1 / (1 + np.exp(-(1.5 - 0.7 * terms[:, 0] + 0.3 * terms[:, 1])))
    intercept, weights = fit_logistic(terms, dice)
    assert intercept == pytest.approx(1.5, abs=0.1)
    assert weights[0] == pytest.approx(0.7, abs=0.05)
    assert weights[1] == 0  # it would be -0.3


def test_the_models_predict_the_dice_of_other_patients() -> None:
    found = trials()
    predicted = cross_validate(found)
    for trial, guess in zip(found, predicted, strict=True):
        assert guess == pytest.approx(dict(trial.dice), abs=0.03)
    score, dice = measure_success(found, predicted)
    assert (dice.labels, dice.auroc, score.auroc) == (288, 1.0, 0.5)
    assert dice.bad_but_ok == 0 < score.bad_but_ok
    by_folder = cross_validate(found, lambda trial: trial.folder)
    assert by_folder != predicted


def test_a_trial_has_no_part_in_its_own_prediction() -> None:
    found = trials()
    other = [replace(found[0], dice=dict.fromkeys(STRUCTURES, 0.1)), *found[1:]]
    assert cross_validate(other)[:4] == cross_validate(found)[:4]
    assert cross_validate(other)[4:] != cross_validate(found)[4:]


def test_typical_values_are_those_of_good_labels() -> None:
    found = trials()
    good = [t.indicators.by_structure["LV"]["doubt"] for t in found if t.dice["LV"] >= 0.85]
    models = fit_models(found)
    assert models["LV"].typical["doubt"] == pytest.approx(float(np.median(good)))
    assert predict_dice({}, models) == {"RV": 0, "MYO": 0, "LV": 0}


def test_too_few_labels_are_refused() -> None:
    without = [replace(t, dice={"LV": t.dice["LV"]}) for t in trials()]
    with pytest.raises(InputError, match="too few good labels of the RV"):
        fit_models(without)
