from __future__ import annotations

import builtins
import math
import re

import numpy as np
import pytest

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.evaluation.statistics import assess_agreement, compare_paired, summarize
from ctct.installation import how_to_install


def test_summary_by_hand() -> None:
    found = summarize([1.0, 2.0, 6.0, math.nan], list("abcd"))
    assert (found.count, found.undefined) == (3, 1)
    assert found.mean == 3.0
    assert found.sd == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert found.median == 2.0
    assert 1.0 <= found.low < 3.0 < found.high <= 6.0


def test_the_interval_is_over_patients_and_near_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(10, 2, 100)
    found = summarize(list(values), [str(n) for n in range(100)])
    half = 1.96 * values.std() / 10
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    # Repeating each patient's value adds no information.
    same = summarize(list(np.repeat(values, 4)), [str(n) for n in range(100) for _ in range(4)])
    assert (same.low, same.high) == pytest.approx((found.low, found.high))


def test_no_value_and_one_value() -> None:
    nothing = summarize([math.nan], ["a"])
    assert (nothing.count, nothing.undefined) == (0, 1)
    assert math.isnan(nothing.mean)
    one = summarize([0.5], ["a"])
    assert (one.mean, one.low, one.high) == (0.5, 0.5, 0.5)
    assert math.isnan(one.sd)


def test_agreement_by_hand() -> None:
    found = assess_agreement([11.0, 22.0, 33.0, math.nan], [10.0, 20.0, 30.0, 40.0])
    # Differences 1, 2, 3: mean 2, standard deviation 1.
    assert found.count == 3
    assert found.bias == pytest.approx(2)
    assert (found.lower, found.upper) == pytest.approx((2 - 1.96, 2 + 1.96))
    assert found.correlation == pytest.approx(1)


def test_agreement_of_no_pair_and_of_one() -> None:
    assert assess_agreement([], []).count == 0
    single = assess_agreement([3.0], [2.0])
    assert single.bias == 1.0
    assert math.isnan(single.lower)
    assert math.isnan(single.correlation)
    with pytest.raises(InputError, match="1 and 2"):
        assess_agreement([1.0], [1.0, 2.0])


def test_wilcoxon_by_hand() -> None:
    pytest.importorskip("scipy")
    # Six patients, all better: of 2^6 sign patterns one each way is as extreme, p = 2 / 64.
    first = [0.9, 0.8, 0.7, 0.95, 0.85, 0.75]
    found = compare_paired(first, [v - 0.01 * n for n, v in enumerate(first, 1)], list("abcdef"))
    assert found.p == pytest.approx(2 / 64)
    assert found.difference.mean == pytest.approx(0.035)


def test_frames_of_a_patient_are_one_pair() -> None:
    pytest.importorskip("scipy")
    found = compare_paired([1.0, 3.0, 5.0, math.nan], [0.0, 0.0, 0.0, 1.0], ["a", "a", "b", "c"])
    assert found.difference.count == 2  # a: (1 + 3) / 2, b: 5; c has no pair
    assert found.difference.mean == pytest.approx(3.5)
    assert compare_paired([1.0], [1.0], ["a"]).p == 1.0
    assert math.isnan(compare_paired([], [], []).p)


def test_without_scipy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RuntimeUnavailableError, match=re.escape(how_to_install("evaluate"))):
        compare_paired([1.0], [2.0], ["a"])
