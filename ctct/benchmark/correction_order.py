"""Whether correcting in the order of ``ctct next`` beats a random order, by manual labels.

A corrected patient is taken to have the manual labels from then on: a Dice of 1, and no error of
the EF. So what is left after k corrections is the sum over the patients that are not corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.correction.ranking import rank_patients
from ctct.errors import InputError
from ctct.evaluation.evaluate import EvaluationOptions, evaluate_folder
from ctct.evaluation.score import DICE, VolumeScore
from ctct.labels import STRUCTURES
from ctct.prediction.results import TableOptions, join_entries, list_entries

LACK, EF_ERROR = "1 - Dice", "LVEF error (points)"
_RANDOM_ORDERS = 10_000

Errors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OrderedErrors:
    """The errors of patients, in the order in which they would be corrected.

    Attributes:
        patients: their names.
        errors: :data:`LACK` and :data:`EF_ERROR` to that of each patient; NaN where it is not
            known, as of a patient without ED and ES.
    """

    patients: tuple[str, ...]
    errors: Mapping[str, Errors]


def read_errors(results: Path, references: Path, reference_order: str = "acdc") -> OrderedErrors:
    """The errors of the patients of ``results`` that have manual labels, in the order to correct.

    Args:
        results: folder that ``ctct predict`` wrote.
        references: folder of ``CASE_gt.nii.gz``, searched recursively.
        reference_order: their numbering, a key of :data:`ctct.labels.ORDERS`.

    Raises:
        InputError: no label map has a reference, or none can be compared.
    """
    options = EvaluationOptions(distances=False, reference_order=reference_order)
    evaluation = evaluate_folder(results, references, options)
    scores: dict[str, list[VolumeScore]] = {}
    for score in evaluation.scores:
        scores.setdefault(score.case, []).append(score)
    patients, errors = [], []
    for candidate in rank_patients(
        join_entries(list_entries(results), TableOptions(), pictures=False)
    ):
        own = [score for case in candidate.cases for score in scores.get(case, ())]
        if not own:
            continue
        pair = evaluation.indices.get(own[0].patient)
        ef = [side.get("LVEF (%)", np.nan) for side in pair] if pair else [np.nan, np.nan]
        dice = [score.metrics[s][DICE] for score in own for s in STRUCTURES if s in score.metrics]
        patients.append(candidate.patient)
        errors.append((1 - float(np.nanmean(dice)), abs(ef[0] - ef[1])))
    if not patients:
        raise InputError(f"{results}: none of its patients has labels in {references}")
    columns = np.array(errors, float).T
    return OrderedErrors(tuple(patients), dict(zip((LACK, EF_ERROR), columns, strict=True)))


def errors_left(errors: Errors) -> Errors:
    """The mean error left after 0, 1, … all corrections in this order; an unknown one counts 0."""
    known = np.nan_to_num(errors)
    left = known.sum() - np.concatenate([[0.0], np.cumsum(known)])
    mean: Errors = np.maximum(left, 0.0) / len(errors)
    return mean


def random_errors_left(errors: Errors) -> Errors:
    """The same, expected over all orders: each correction takes an equal share."""
    expected: Errors = np.linspace(np.nan_to_num(errors).mean(), 0.0, len(errors) + 1)
    return expected


def best_errors_left(errors: Errors) -> Errors:
    """The same in the order of the errors themselves, which nobody knows beforehand."""
    return errors_left(np.sort(np.nan_to_num(errors))[::-1])


def share_of_better_orders(errors: Errors, seed: int = 0) -> float:
    """The share of random orders that leave no more, on average over the number of corrections."""
    known = np.nan_to_num(errors)
    weights = np.arange(1, len(known) + 1)  # an error counts until it is corrected
    draw = np.random.default_rng(seed)
    orders = draw.permuted(np.tile(known, (_RANDOM_ORDERS, 1)), axis=1)
    # Equal orders must count as equal, whatever the order of their sums.
    return float(np.mean(orders @ weights <= known @ weights * (1 + 1e-12)))


def shown_counts(patients: int, rows: int = 10) -> Sequence[int]:
    """Numbers of corrections to show: none, all, and some between."""
    return sorted({round(patients * row / rows) for row in range(rows + 1)})
