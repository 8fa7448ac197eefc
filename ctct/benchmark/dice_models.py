"""Fit the prediction of Dice to a model, and measure how good it is on other patients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.benchmark.quality import Trial
from ctct.errors import InputError
from ctct.labels import STRUCTURES
from ctct.measurement.predicted_dice import INDICATORS, TERMS, DiceModel, predict_dice
from ctct.measurement.quality_flags import DICE_REVIEW, OK

#: Labels with a lower Dice are bad; with one below the second value, they must not be rated ok.
GOOD_DICE, BAD_DICE = 0.80, 0.75
#: Typical indicators are those of labels with at least this Dice.
_TYPICAL_DICE = 0.85
#: Parts of the patients of which each is predicted by a fit to the others.
_PARTS = 10
#: Small weights are preferred where the trials hardly tell.
_RIDGE, _STEPS = 2e-3, 50

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Success:
    """How well doubt tells bad labels from good.

    Attributes:
        labels: number of structures in all frames.
        bad: those with a Dice below :data:`GOOD_DICE`.
        auroc: chance that a bad one is more doubtful than a good one; see :func:`auroc`.
        aurc: mean of 1 - Dice over the least doubtful share, for all shares (area under the
            risk-coverage curve: Geifman and El-Yaniv, NeurIPS 2017).
        error: mean absolute error of the predicted Dice.
        ok: number of structures in frames that are rated ok.
        bad_but_ok: those of them with a Dice below :data:`BAD_DICE`.
    """

    labels: int
    bad: int
    auroc: float
    aurc: float
    error: float
    ok: int
    bad_but_ok: int


def fit_models(trials: Sequence[Trial]) -> dict[str, DiceModel]:
    """Fit the model of each structure to all trials.

    Raises:
        InputError: a structure has too few labels.
    """
    return {structure: _fit_structure(structure, trials) for structure in STRUCTURES}


def _fit_structure(structure: str, trials: Sequence[Trial]) -> DiceModel:
    names = INDICATORS[structure]
    known = [
        (trial.indicators.by_structure[structure], trial.dice[structure])
        for trial in trials
        if structure in trial.dice and structure in trial.indicators.by_structure
    ]
    dice = np.array([value for _, value in known])
    if np.count_nonzero(dice >= _TYPICAL_DICE) < len(names):
        raise InputError(f"too few good labels of the {structure}; give scans with all structures")
    values = np.array([[found[name] for name in names] for found, _ in known])
    terms = np.array([[TERMS[name](found[name]) for name in names] for found, _ in known])
    intercept, weights = fit_logistic(terms, dice)
    typical = np.median(values[dice >= _TYPICAL_DICE], axis=0)
    return DiceModel(
        intercept,
        dict(zip(names, weights.tolist(), strict=True)),
        dict(zip(names, typical.tolist(), strict=True)),
    )


def fit_logistic(terms: Array, dice: Array) -> tuple[float, Array]:
    """Intercept and weights of logit(dice) = intercept - terms · weights, by Newton's method.

    Terms whose weight would be negative are left out, the most negative first.

    Args:
        terms: (N, K).
        dice: (N,), 0…1.
    """
    middle, spread = terms.mean(axis=0), terms.std(axis=0) + 1e-9
    scaled = (middle - terms) / spread
    used = list(range(terms.shape[1]))
    while True:
        x = np.column_stack([np.ones(len(dice)), scaled[:, used]])
        ridge = np.diag([0.0, *[_RIDGE] * len(used)])
        solution = np.zeros(x.shape[1])
        for _ in range(_STEPS):
            p = 1 / (1 + np.exp(-x @ solution))
            slope = x.T @ (dice - p) / len(dice) - ridge @ solution
            curvature = (x.T * (p * (1 - p))) @ x / len(dice) + ridge
            solution += np.linalg.solve(curvature, slope)
        if not used or solution[1:].min() >= 0:
            break
        del used[int(solution[1:].argmin())]
    weights = np.zeros(terms.shape[1])
    weights[used] = solution[1:] / spread[used]
    return float(solution[0] + middle @ weights), weights


def cross_validate(
    trials: Sequence[Trial], by: Callable[[Trial], object] = lambda trial: trial.patient
) -> list[dict[str, float]]:
    """Predicted Dice of every trial, by a fit to trials of other groups.

    Args:
        trials: of several groups.
        by: the group of a trial, a patient where left out.
    """
    groups = list(dict.fromkeys(by(trial) for trial in trials))
    part_of = {group: n % _PARTS for n, group in enumerate(groups)}
    predicted: dict[int, dict[str, float]] = {}
    for part in set(part_of.values()):
        is_tested = [part_of[by(trial)] == part for trial in trials]
        models = fit_models([t for t, tested in zip(trials, is_tested, strict=True) if not tested])
        for n, trial in enumerate(trials):
            if is_tested[n]:
                predicted[n] = predict_dice(trial.indicators.by_structure, models)
    return [predicted[n] for n in range(len(trials))]


def measure_success(
    trials: Sequence[Trial],
    predicted: Sequence[dict[str, float]],
    structures: Collection[str] = STRUCTURES,
) -> tuple[Success, Success]:
    """How well the score, and how well the predicted Dice tells bad labels from good.

    A frame is rated ok by all flags but those of the predicted Dice, or by all flags.

    Args:
        trials: at least one.
        predicted: Dice of each structure of each trial.
        structures: that count.
    """
    rows = [
        (
            trial.dice[s],
            trial.indicators.score,
            guess[s],
            trial.level == OK,
            min(guess.values()) >= DICE_REVIEW,
        )
        for trial, guess in zip(trials, predicted, strict=True)
        for s in structures
        if s in trial.dice
    ]
    dice, score, guess, is_ok, is_high = (np.array(column) for column in zip(*rows, strict=True))
    bad = dice < GOOD_DICE

    def success(doubt: Array, error: float, ok: npt.NDArray[np.bool_]) -> Success:
        return Success(
            labels=len(dice),
            bad=int(bad.sum()),
            auroc=auroc(doubt, bad),
            aurc=aurc(doubt, dice),
            error=error,
            ok=int(ok.sum()),
            bad_but_ok=int((ok & (dice < BAD_DICE)).sum()),
        )

    return (
        success(score, float("nan"), is_ok),
        success(-guess, float(np.abs(guess - dice).mean()), is_ok & is_high),
    )


def auroc(doubt: Sequence[float] | Array, bad: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    """Chance that bad labels are in more doubt than good ones, ties half (Hanley, McNeil, 1982).

    NaN if all are good or all are bad.
    """
    values, is_bad = np.asarray(doubt, float), np.asarray(bad, bool)
    difference = values[is_bad][:, None] - values[~is_bad][None]
    return float((np.sign(difference) / 2 + 0.5).mean()) if difference.size else float("nan")


def aurc(doubt: Sequence[float] | Array, dice: Sequence[float] | Array) -> float:
    """Area under the risk-coverage curve; see :class:`Success`."""
    risk = 1 - np.asarray(dice, float)[np.argsort(np.asarray(doubt, float), kind="stable")]
    return float((np.cumsum(risk) / np.arange(1, len(risk) + 1)).mean())
