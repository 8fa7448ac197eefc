"""Scores as matrices: one row per structure, one column per group of frames or slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctct.evaluation.score import DICE, METRICS, SliceCounts
from ctct.evaluation.statistics import Summary
from ctct.evaluation.summary import GROUPS, MEAN, Findings, Quantity
from ctct.labels import STRUCTURES
from ctct.measurement.regions import REGIONS


@dataclass(frozen=True)
class Matrix:
    """Statistics of one metric.

    Attributes:
        metric: its name.
        groups: names of the columns: "all", phases and regions.
        rows: structure, or "mean", to its statistics in each group; None where there are none.
    """

    metric: str
    groups: tuple[str, ...]
    rows: Mapping[str, list[Summary | None]]


def score_matrices(findings: Findings) -> list[Matrix]:
    """A matrix for each metric that was measured; Dice also by region."""
    matrices = []
    for metric in METRICS:
        measured = {q for q in findings.averages if q.metric == metric}
        groups = tuple(g for g in (*GROUPS, *REGIONS) if any(q.group == g for q in measured))
        rows = {
            structure: [
                _defined(findings.averages.get(Quantity(g, structure, metric))) for g in groups
            ]
            for structure in (*STRUCTURES, *([MEAN] if metric == DICE else []))
        }
        rows = {structure: cells for structure, cells in rows.items() if any(cells)}
        if rows:
            matrices.append(Matrix(metric, groups, rows))
    return matrices


def slice_matrix(findings: Findings) -> dict[tuple[str, str], list[SliceCounts | None]]:
    """Structure and group of frames to the missed and false slices at base, mid and apex."""
    places = dict.fromkeys((structure, group) for group, _, structure in findings.slices)
    order = sorted(places, key=lambda place: STRUCTURES.index(place[0]))
    return {
        (structure, group): [findings.slices.get((group, r, structure)) for r in REGIONS]
        for structure, group in order
    }


def _defined(summary: Summary | None) -> Summary | None:
    return summary if summary and summary.count else None
