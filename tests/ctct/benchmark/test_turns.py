from __future__ import annotations

from itertools import chain, repeat

import pytest

from ctct.benchmark.turns import Timing, take_turns


def test_the_first_round_does_not_count_and_turns_are_taken() -> None:
    ticks = iter([0, 100, *(0, 1), *(1, 5), *(5, 7), *(7, 13)])  # begun, done
    turns: list[str] = []
    timings = take_turns(
        {"quick": lambda: 10, "slow": lambda: 20},
        rounds=2,
        clock=lambda: float(next(ticks)),
        observe=turns.append,
    )
    assert turns == ["quick", "slow"] * 3
    assert [timing.name for timing in timings] == ["quick", "slow"]
    assert [timing.amount for timing in timings] == [10, 20]
    assert [timing.seconds for timing in timings] == [(1, 2), (4, 6)]


def test_rates_worked_by_hand() -> None:
    own, other = Timing("own", 10, (1.0, 2.0, 4.0)), Timing("other", 5, (2.0, 2.0, 4.0))
    assert own.rate == 5.0  # 10 in the median 2 s
    assert other.rate == 2.5
    # Round by round: 10 against 2.5, 5 against 2.5, 2.5 against 1.25 a second: 4, 2, 2.
    assert own.times_as_fast_as(other) == 2.0
    assert other.times_as_fast_as(own) == 0.5


def test_what_a_busy_machine_slows_alike_stays_the_ratio() -> None:
    load = chain([1.0, 1.0], repeat(3.0))
    seconds = [next(load) for _ in range(4)]
    own = Timing("own", 1, tuple(seconds))
    other = Timing("other", 1, tuple(2 * s for s in seconds))
    assert own.times_as_fast_as(other) == pytest.approx(2.0)
