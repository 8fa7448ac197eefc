"""Statistics of an evaluation: averages by group, agreement of volumes, comparison with another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from ctct.errors import InputError
from ctct.evaluation.evaluate import Evaluation
from ctct.evaluation.score import DICE, NOT_LABELLED, SliceCounts, VolumeScore
from ctct.evaluation.statistics import (
    Agreement,
    Comparison,
    Summary,
    assess_agreement,
    compare_paired,
    summarize,
)
from ctct.labels import STRUCTURES
from ctct.measurement.regions import REGIONS
from ctct.measurement.volumes import INDEX_COLUMNS

ALL, MEAN = "all", "mean"
#: Groups of frames.
GROUPS = (ALL, "ED", "ES")


class Quantity(NamedTuple):
    """A metric of a structure, or of their "mean", in a group of frames or slices.

    Groups are "all", the phases "ED" and "ES", and the regions "base", "mid" and "apex".
    """

    group: str
    structure: str
    metric: str


class Frame(NamedTuple):
    """The unit of averaging."""

    patient: str
    case: str
    number: int


def collect_values(evaluation: Evaluation) -> dict[Quantity, dict[Frame, float]]:
    """The value of each quantity in each frame that has it, in reading order."""
    values: dict[Quantity, dict[Frame, float]] = {}
    for score in evaluation.scores:
        frame = Frame(score.patient, score.case, score.frame)
        for quantity, value in _frame_values(score):
            values.setdefault(quantity, {})[frame] = value
    order = (*GROUPS, *REGIONS)
    return dict(sorted(values.items(), key=lambda item: order.index(item[0].group)))


def _frame_values(score: VolumeScore) -> Iterator[tuple[Quantity, float]]:
    for group in (ALL, score.phase) if score.phase else (ALL,):
        yield Quantity(group, MEAN, DICE), score.mean_dice
        for structure in STRUCTURES:
            for metric, value in score.metrics[structure].items():
                yield Quantity(group, structure, metric), value
    for region, dice in score.regions.items():
        for structure, value in dice.items():
            yield Quantity(region, structure, DICE), value


def summarize_scores(evaluation: Evaluation) -> dict[Quantity, Summary]:
    """Mean, deviation, median and confidence interval of each quantity over frames."""
    return {
        quantity: summarize(list(values.values()), [frame.patient for frame in values])
        for quantity, values in collect_values(evaluation).items()
    }


def assess_indices(evaluation: Evaluation) -> dict[str, Agreement]:
    """Agreement of each index (EDV, EF, …) by prediction with that by reference, over patients."""
    return {
        index: assess_agreement(*pair_indices(evaluation, index))
        for index in (INDEX_COLUMNS if evaluation.indices else ())
    }


def pair_indices(evaluation: Evaluation, index: str) -> tuple[list[float], list[float]]:
    """One index of every patient, by prediction and by reference."""
    pairs = evaluation.indices.values()
    return [pair.prediction[index] for pair in pairs], [pair.reference[index] for pair in pairs]


def compare_evaluations(first: Evaluation, second: Evaluation) -> dict[Quantity, Comparison]:
    """Paired differences first - second over the frames that both have.

    Raises:
        InputError: they have no frame in common.
        RuntimeUnavailableError: SciPy is not installed.
    """
    second_values = collect_values(second)
    comparisons: dict[Quantity, Comparison] = {}
    for quantity, a in collect_values(first).items():
        b = second_values.get(quantity, {})
        if shared := [frame for frame in a if frame in b]:
            comparisons[quantity] = compare_paired(
                [a[frame] for frame in shared],
                [b[frame] for frame in shared],
                [frame.patient for frame in shared],
            )
    if not comparisons:
        raise InputError("the two folders of predictions share no case that has a reference")
    return comparisons


def sum_slices(evaluation: Evaluation) -> dict[tuple[str, str, str], SliceCounts]:
    """Missed and false slices by group of frames ("all", "ED", "ES"), region and structure.

    A structure is left out where no reference labels it.
    """
    sums: dict[tuple[str, str, str], SliceCounts] = {}
    for group in GROUPS:
        for region in REGIONS:
            for structure in STRUCTURES:
                counts = [
                    score.slices[region][structure]
                    for score in evaluation.scores
                    if group in (ALL, score.phase) and structure in score.slices.get(region, ())
                ]
                if counts:
                    sums[group, region, structure] = reduce(SliceCounts.add, counts)
    return sums


def count_unlabelled(evaluation: Evaluation) -> dict[str, int]:
    """Number of frames whose reference does not label a structure, for each such structure."""
    frames = {
        s: sum(score.empty[s] == NOT_LABELLED for score in evaluation.scores) for s in STRUCTURES
    }
    return {structure: count for structure, count in frames.items() if count}


@dataclass(frozen=True)
class Findings:
    """An evaluation and its statistics.

    Attributes:
        evaluation: scores and indices.
        averages: statistics of each quantity.
        slices: missed and false slices by group of frames, region and structure.
        unlabelled: structure to number of frames in which the reference does not label it; these
            are left out of its averages.
        agreements: agreement of each index with the reference.
        compared_with: name of the other predictions; "" without any.
        comparisons: paired differences from the other predictions.
    """

    evaluation: Evaluation
    averages: Mapping[Quantity, Summary]
    slices: Mapping[tuple[str, str, str], SliceCounts]
    unlabelled: Mapping[str, int]
    agreements: Mapping[str, Agreement]
    compared_with: str
    comparisons: Mapping[Quantity, Comparison]

    @classmethod
    def from_evaluation(
        cls,
        evaluation: Evaluation,
        compared_with: str = "",
        comparisons: Mapping[Quantity, Comparison] | None = None,
    ) -> Findings:
        """Compute the statistics of ``evaluation``."""
        return cls(
            evaluation,
            averages=summarize_scores(evaluation),
            slices=sum_slices(evaluation),
            unlabelled=count_unlabelled(evaluation),
            agreements=assess_indices(evaluation),
            compared_with=compared_with,
            comparisons=comparisons or {},
        )
