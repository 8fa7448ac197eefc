from __future__ import annotations

from itertools import chain, repeat

import pytest

from ctct.benchmark.timing import Timing, time_in_turns


def test_procedures_take_turns_after_a_round_that_does_not_count() -> None:
    ticks = iter([0, 100, *(0, 1), *(1, 5), *(5, 7), *(7, 13)])  # start, end
    turns: list[str] = []
    timings = time_in_turns(
        {"quick": lambda: 10, "slow": lambda: 20},
        rounds=2,
        clock=lambda: float(next(ticks)),
        on_stage=turns.append,
    )
    assert turns == ["quick", "slow"] * 3
    assert [timing.name for timing in timings] == ["quick", "slow"]
    assert [timing.amount for timing in timings] == [10, 20]
    assert [timing.seconds for timing in timings] == [(1, 2), (4, 6)]


def test_rates_worked_by_hand() -> None:
    one, other = Timing("one", 10, (1.0, 2.0, 4.0)), Timing("other", 5, (2.0, 2.0, 4.0))
    assert one.rate == 5.0  # 10 in the median 2 s
    assert other.rate == 2.5
    # Round by round: 10 against 2.5, 5 against 2.5, 2.5 against 1.25 per second: 4, 2, 2.
    assert one.times_as_fast_as(other) == 2.0
    assert other.times_as_fast_as(one) == 0.5


def test_a_busy_machine_does_not_change_the_ratio() -> None:
    load = chain([1.0, 1.0], repeat(3.0))
    seconds = [next(load) for _ in range(4)]
    one = Timing("one", 1, tuple(seconds))
    other = Timing("other", 1, tuple(2 * s for s in seconds))
    assert one.times_as_fast_as(other) == pytest.approx(2.0)
