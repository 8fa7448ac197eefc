"""Averages with their uncertainty, agreement of two measurements, and a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.installation import how_to_install

#: Resamples of a bootstrap.
RESAMPLES = 5000

#: Standard deviations from the bias to a limit of agreement.
_LIMIT_SD = 1.96


@dataclass(frozen=True)
class Summary:
    """Statistics of a sample.

    Attributes:
        count: number of defined values.
        undefined: number of values that are NaN; the other statistics ignore them.
        mean: arithmetic mean.
        sd: sample standard deviation (divisor n - 1); NaN of fewer than two values.
        median: the middle value.
        low: lower end of the 95 % confidence interval of the mean.
        high: upper end of the interval.
        minimum: the smallest value.
    """

    count: int
    undefined: int
    mean: float
    sd: float
    median: float
    low: float
    high: float
    minimum: float


def summarize(values: Sequence[float], patients: Sequence[str]) -> Summary:
    """Statistics of ``values``; ``patients`` names the patient of each.

    The interval is the percentile bootstrap (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13) over patients, not over values: two frames of one heart are not
    two independent samples. Its generator is seeded, so the same values give the same interval.
    """
    array = np.asarray(values, float)
    is_defined = np.isfinite(array)
    defined = array[is_defined]
    if not defined.size:
        nan = float("nan")
        return Summary(0, int(array.size), *[nan] * 6)
    low, high = _bootstrap_mean(defined, np.asarray(patients, str)[is_defined])
    return Summary(
        count=int(defined.size),
        undefined=int(array.size - defined.size),
        mean=float(defined.mean()),
        sd=float(defined.std(ddof=1)) if defined.size > 1 else float("nan"),
        median=float(np.median(defined)),
        low=low,
        high=high,
        minimum=float(defined.min()),
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
        count: pairs in which both values are known.
        bias: mean of measurement - reference.
        lower: lower limit of agreement, bias - 1.96 standard deviations of the differences.
        upper: upper limit of agreement.
        correlation: Pearson's r; NaN where either does not vary, and of fewer than three pairs,
            which always lie on a line.
    """

    count: int
    bias: float
    lower: float
    upper: float
    correlation: float

    @property
    def sd(self) -> float:
        """Standard deviation of the differences; NaN of fewer than two pairs."""
        return (self.upper - self.bias) / _LIMIT_SD


def assess_agreement(measured: Sequence[float], reference: Sequence[float]) -> Agreement:
    """Agreement of two series of the same length; pairs with a NaN are left out.

    Raises:
        InputError: the series differ in length.
    """
    a, b = _complete_pairs(measured, reference)
    if not a.size:
        nan = float("nan")
        return Agreement(0, nan, nan, nan, nan)
    differences = a - b
    bias = float(differences.mean())
    margin = _LIMIT_SD * float(differences.std(ddof=1)) if a.size > 1 else float("nan")
    both_vary = a.size > 2 and a.std() > 0 and b.std() > 0
    correlation = float(np.corrcoef(a, b)[0, 1]) if both_vary else float("nan")
    return Agreement(int(a.size), bias, bias - margin, bias + margin, correlation)


@dataclass(frozen=True)
class Comparison:
    """Paired difference of two methods on the same patients.

    Attributes:
        difference: first - second, one value per patient.
        p: two-sided p-value of Wilcoxon's signed-rank test; 1 where all differences are 0, NaN
            without a pair.
    """

    difference: Summary
    p: float


def compare_paired(
    first: Sequence[float], second: Sequence[float], patients: Sequence[str]
) -> Comparison:
    """Compare two methods by Wilcoxon's signed-rank test (Biometrics Bulletin 1:80, 1945).

    Differences are averaged over each patient first, because the test assumes independent pairs.

    Args:
        first: values of one method.
        second: values of the other on the same frames.
        patients: name of the patient of each value.

    Raises:
        RuntimeUnavailableError: SciPy is not installed.
    """
    try:
        from scipy.stats import wilcoxon
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"the Wilcoxon test needs SciPy; {how_to_install('evaluate')}"
        ) from error
    differences = np.subtract(first, second)
    names = np.asarray(patients, str)
    by_patient = {
        str(name): float(defined.mean())
        for name in np.unique(names)
        if (defined := differences[(names == name) & np.isfinite(differences)]).size
    }
    means = list(by_patient.values())
    summary = summarize(means, list(by_patient))
    if not means:
        return Comparison(summary, float("nan"))
    return Comparison(summary, float(wilcoxon(means).pvalue) if any(means) else 1.0)


def _complete_pairs(
    first: Sequence[float], second: Sequence[float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise InputError(f"series of {a.size} and {b.size} values cannot be paired")
    known = np.isfinite(a) & np.isfinite(b)
    return a[known], b[known]
