"""Timing several procedures in turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Durations of one procedure.

    Attributes:
        name: name of the procedure.
        amount: what a round processes: slices, or training steps.
        seconds: duration of each round.
    """

    name: str
    amount: int
    seconds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Amount per second in the median round."""
        return self.amount / statistics.median(self.seconds)

    def times_as_fast_as(self, other: Timing) -> float:
        """Median over the rounds of the ratio of the two rates in a round."""
        return statistics.median(
            (self.amount / seconds) / (other.amount / other_seconds)
            for seconds, other_seconds in zip(self.seconds, other.seconds, strict=True)
        )


def time_in_turns(
    procedures: Mapping[str, Callable[[], int]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    on_stage: Callable[[str], None] = lambda name: None,
) -> list[Timing]:
    """Run every procedure once per round, after a warm-up round that does not count.

    Args:
        procedures: by name; each returns the amount it processed.
        rounds: rounds that count.
        clock: returns the time in seconds.
        on_stage: called with the name of each procedure before it runs.
    """
    amounts: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in procedures}
    for number in range(rounds + 1):
        for name, procedure in procedures.items():
            on_stage(name)
            start = clock()
            amounts[name] = procedure()
            if number:
                seconds[name].append(clock() - start)
    return [Timing(name, amounts[name], tuple(seconds[name])) for name in procedures]
