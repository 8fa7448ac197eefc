"""An evaluation in numbers: averages by group, agreement of volumes, comparison with another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ctct.errors import InputError
from ctct.evaluation.evaluate import Evaluation
from ctct.evaluation.score import DICE, VolumeScore
from ctct.evaluation.statistics import Agreement, Comparison, Summary, agreement, compare, summarize
from ctct.labels import STRUCTURES
from ctct.measurement.volumes import INDEX_COLUMNS

ALL, MEAN = "all", "mean"


class Quantity(NamedTuple):
    """What is averaged: a metric of a structure ("mean" of all three) in a group of frames.

    Groups are "all", the phases "ED" and "ES", and the regions "base", "mid" and "apex".
    """

    group: str
    structure: str
    metric: str


class Frame(NamedTuple):
    """What is averaged over."""

    patient: str
    case: str
    number: int


def quantities(evaluation: Evaluation) -> dict[Quantity, dict[Frame, float]]:
    """Every quantity's value in every frame that has it, in reading order."""
    found: dict[Quantity, dict[Frame, float]] = {}
    for score in evaluation.scores:
        frame = Frame(score.patient, score.case, score.frame)
        for quantity, value in _of_frame(score):
            found.setdefault(quantity, {})[frame] = value
    order = {name: n for n, name in enumerate((ALL, "ED", "ES", "base", "mid", "apex"))}
    return dict(sorted(found.items(), key=lambda item: order[item[0].group]))


def _of_frame(score: VolumeScore) -> Iterator[tuple[Quantity, float]]:
    for group in (ALL, score.phase) if score.phase else (ALL,):
        yield Quantity(group, MEAN, DICE), score.mean_dice
        for structure in STRUCTURES:
            for metric, value in score.metrics[structure].items():
                yield Quantity(group, structure, metric), value
    for region, dice in score.regions.items():
        for structure, value in dice.items():
            yield Quantity(region, structure, DICE), value


def summaries(evaluation: Evaluation) -> dict[Quantity, Summary]:
    """Mean, spread, median and confidence interval of each quantity over frames."""
    return {
        quantity: summarize(list(values.values()), [frame.patient for frame in values])
        for quantity, values in quantities(evaluation).items()
    }


def agreements(evaluation: Evaluation) -> dict[str, Agreement]:
    """How EDV, ESV, SV, EF and mass by prediction agree with those by reference, over patients."""
    return {
        column: agreement(*index_pairs(evaluation, column))
        for column in (INDEX_COLUMNS if evaluation.indices else ())
    }


def index_pairs(evaluation: Evaluation, column: str) -> tuple[list[float], list[float]]:
    """One index of every patient, by prediction and by reference."""
    pairs = evaluation.indices.values()
    return [own[column] for own, _ in pairs], [truth[column] for _, truth in pairs]


def comparisons(one: Evaluation, other: Evaluation) -> dict[Quantity, Comparison]:
    """Paired differences one - other over the frames that both have.

    Raises:
        InputError: they share no frame.
        RuntimeUnavailableError: SciPy is not installed.
    """
    theirs: Mapping[Quantity, Mapping[Frame, float]] = quantities(other)
    result: dict[Quantity, Comparison] = {}
    for quantity, ours in quantities(one).items():
        frames = [frame for frame in ours if frame in theirs.get(quantity, {})]
        if frames:
            result[quantity] = compare(
                [ours[f] for f in frames],
                [theirs[quantity][f] for f in frames],
                [f.patient for f in frames],
            )
    if not result:
        raise InputError("the two folders of predictions share no case that has a reference")
    return result


@dataclass(frozen=True)
class Findings:
    """An evaluation and what follows from it.

    Attributes:
        evaluation: scores and indices.
        averages: each quantity's summary.
        agreements: each index's agreement with the reference.
        compared_with: name of the other predictions; "" without any.
        comparisons: paired differences from them.
    """

    evaluation: Evaluation
    averages: Mapping[Quantity, Summary]
    agreements: Mapping[str, Agreement]
    compared_with: str
    comparisons: Mapping[Quantity, Comparison]

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        compared_with: str = "",
        comparisons: Mapping[Quantity, Comparison] | None = None,
    ) -> Findings:
        """Everything that follows from ``evaluation``."""
        return cls(
            evaluation,
            summaries(evaluation),
            agreements(evaluation),
            compared_with,
            comparisons or {},
        )
