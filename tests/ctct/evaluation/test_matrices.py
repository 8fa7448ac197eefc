from __future__ import annotations

import math

from ctct.evaluation.evaluate import Evaluation
from ctct.evaluation.matrices import score_matrices, slice_matrix
from ctct.evaluation.score import SliceCounts, VolumeScore
from ctct.evaluation.summary import Findings
from ctct.labels import STRUCTURES


def score(case: str, phase: str, dice: float) -> VolumeScore:
    metrics = {"Dice": dice, "Jaccard": 0.5, "HD95": math.nan, "ASSD": math.nan}
    return VolumeScore(
        patient=case,
        case=case,
        frame=0,
        phase=phase,
        metrics=dict.fromkeys(STRUCTURES, metrics),
        regions={"base": dict.fromkeys(STRUCTURES, dice)},
        slices={"base": dict.fromkeys(STRUCTURES, SliceCounts(1, 3, 2, 4))},
        empty=dict.fromkeys(STRUCTURES, ""),
    )


def findings(*scores: VolumeScore) -> Findings:
    nothing = {"indices": {}, "unpredicted": (), "unreferenced": (), "failed": {}}
    return Findings.from_evaluation(Evaluation(unit="mm", scores=scores, **nothing))


def test_a_matrix_has_a_row_per_structure_and_a_column_per_group() -> None:
    dice, jaccard = score_matrices(findings(score("a", "ED", 0.8), score("b", "ES", 0.6)))
    assert (dice.metric, dice.groups) == ("Dice", ("all", "ED", "ES", "base"))
    assert [*dice.rows] == [*STRUCTURES, "mean"]
    assert [round(cell.mean, 3) for cell in dice.rows["RV"] if cell] == [0.7, 0.8, 0.6, 0.7]
    assert (jaccard.metric, jaccard.groups) == ("Jaccard", ("all", "ED", "ES"))
    assert [*jaccard.rows] == [*STRUCTURES]  # the mean is that of Dice alone


def test_a_metric_without_a_value_has_no_matrix() -> None:
    assert {m.metric for m in score_matrices(findings(score("a", "ED", 0.8)))} == {
        "Dice",
        "Jaccard",
    }


def test_slices_have_a_row_per_structure_and_phase() -> None:
    rows = slice_matrix(findings(score("a", "ED", 0.8), score("b", "ES", 0.6)))
    assert [*rows][:4] == [("RV", "all"), ("RV", "ED"), ("RV", "ES"), ("MYO", "all")]
    assert rows["RV", "all"] == [SliceCounts(2, 6, 4, 8), None, None]
    assert rows["RV", "ES"] == [SliceCounts(1, 3, 2, 4), None, None]
