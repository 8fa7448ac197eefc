"""Averages with their uncertainty, agreement of two measurements, and a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError, RuntimeUnavailableError

#: Resamples of a bootstrap.
RESAMPLES = 5000


@dataclass(frozen=True)
class Summary:
    """A sample in a few numbers.

    Attributes:
        count: values that are defined.
        undefined: values that are NaN; they enter nothing else.
        mean: arithmetic mean.
        sd: sample standard deviation, divided by n - 1; NaN of fewer than two values.
        median: the middle value.
        low: lower end of the 95 % confidence interval of the mean.
        high: its upper end.
    """

    count: int
    undefined: int
    mean: float
    sd: float
    median: float
    low: float
    high: float


def summarize(values: Sequence[float], patients: Sequence[str]) -> Summary:
    """Summary of ``values``, one of ``patients`` each.

    The interval is the percentile bootstrap (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13) over patients, not over values: two frames of one heart are not
    two independent samples. Its generator is seeded, so the same values give the same interval.
    """
    array = np.asarray(values, float)
    known = np.isfinite(array)
    kept = array[known]
    if not kept.size:
        nan = float("nan")
        return Summary(0, int(array.size), nan, nan, nan, nan, nan)
    low, high = _bootstrap_mean(kept, np.asarray(patients, str)[known])
    return Summary(
        count=int(kept.size),
        undefined=int(array.size - kept.size),
        mean=float(kept.mean()),
        sd=float(kept.std(ddof=1)) if kept.size > 1 else float("nan"),
        median=float(np.median(kept)),
        low=low,
        high=high,
    )


def _bootstrap_mean(
    values: npt.NDArray[np.float64], patients: npt.NDArray[np.str_]
) -> tuple[float, float]:
    _, group = np.unique(patients, return_inverse=True)
    sums, counts = np.bincount(group, values), np.bincount(group)
    drawn = np.random.default_rng(0).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES
    )  # (resamples, patients): how often each patient is drawn
    low, high = np.percentile((drawn @ sums) / (drawn @ counts), (2.5, 97.5))
    return float(low), float(high)


@dataclass(frozen=True)
class Agreement:
    """How a measurement agrees with a reference (Bland and Altman, Lancet 327:307, 1986).

    Attributes:
        count: pairs in which both are known.
        bias: mean of measurement - reference.
        lower: lower limit of agreement, bias - 1.96 standard deviations of the differences.
        upper: upper limit of agreement.
        correlation: Pearson's r; NaN where either does not vary.
    """

    count: int
    bias: float
    lower: float
    upper: float
    correlation: float


def agreement(measured: Sequence[float], reference: Sequence[float]) -> Agreement:
    """Agreement of two series of the same length; pairs with a NaN are left out."""
    own, truth = _complete_pairs(measured, reference)
    if not own.size:
        nan = float("nan")
        return Agreement(0, nan, nan, nan, nan)
    difference = own - truth
    bias = float(difference.mean())
    spread = 1.96 * float(difference.std(ddof=1)) if own.size > 1 else float("nan")
    varies = own.size > 1 and own.std() > 0 and truth.std() > 0
    correlation = float(np.corrcoef(own, truth)[0, 1]) if varies else float("nan")
    return Agreement(int(own.size), bias, bias - spread, bias + spread, correlation)


@dataclass(frozen=True)
class Comparison:
    """Paired difference of two methods on the same patients.

    Attributes:
        difference: one - other, a value a patient.
        p: two-sided p-value of Wilcoxon's signed-rank test; 1 where nothing differs, NaN without a
            pair.
    """

    difference: Summary
    p: float


def compare(one: Sequence[float], other: Sequence[float], patients: Sequence[str]) -> Comparison:
    """Compare two methods by Wilcoxon's signed-rank test (Biometrics Bulletin 1:80, 1945).

    Values are averaged within a patient first, because the test takes its pairs as independent.

    Raises:
        RuntimeUnavailableError: SciPy, which has the test, is not installed.
    """
    try:
        from scipy.stats import wilcoxon
    except ImportError as error:
        raise RuntimeUnavailableError(
            "the Wilcoxon test needs SciPy; pip install 'ctct[evaluate]'"
        ) from error
    gaps = np.subtract(one, other)
    names = np.asarray(patients, str)
    means = {
        str(name): float(own.mean())
        for name in np.unique(names)
        if (own := gaps[(names == name) & np.isfinite(gaps)]).size
    }
    differences = list(means.values())
    summary = summarize(differences, list(means))
    if not differences:
        return Comparison(summary, float("nan"))
    p = float(wilcoxon(differences).pvalue) if any(differences) else 1.0
    return Comparison(summary, p)


def _complete_pairs(
    one: Sequence[float], other: Sequence[float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    a, b = np.asarray(one, float), np.asarray(other, float)
    if a.shape != b.shape:
        raise InputError(f"series of {a.size} and {b.size} values cannot be paired")
    known = np.isfinite(a) & np.isfinite(b)
    return a[known], b[known]
