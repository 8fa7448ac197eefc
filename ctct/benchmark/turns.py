"""Timing several things in turns, so that a busy machine slows them all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """How long each round of one contestant took.

    Attributes:
        name: of the contestant.
        amount: what a round does: slices, or steps.
        seconds: of each round.
    """

    name: str
    amount: int
    seconds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Amount per second in the median round."""
        return self.amount / statistics.median(self.seconds)

    def times_as_fast_as(self, other: Timing) -> float:
        """Median over the rounds of the ratio of rates within the round."""
        return statistics.median(
            self.amount / own * theirs / other.amount
            for own, theirs in zip(self.seconds, other.seconds, strict=True)
        )


def take_turns(
    contestants: Mapping[str, Callable[[], int]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    observe: Callable[[str], None] = lambda name: None,
) -> list[Timing]:
    """Run each contestant once a round, after one round that does not count.

    Args:
        contestants: by name; each does its work and says how much that was.
        rounds: that count.
        clock: seconds.
        observe: told whose turn it is.
    """
    amounts: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            observe(name)
            begun = clock()
            amounts[name] = work()
            if number:
                seconds[name].append(clock() - begun)
    return [Timing(name, amounts[name], tuple(seconds[name])) for name in contestants]
