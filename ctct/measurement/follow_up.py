"""Two studies of one patient side by side: what changed, and whether it is more than the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ctct.measurement.repeatability import LIMITS, SCAN_LIMITS

#: Indices that are compared, in order.
FOLLOWED = (
    *("LVEDV (mL)", "LVESV (mL)", "LVEF (%)", "LVM (g)"),
    *("RVEDV (mL)", "RVESV (mL)", "RVEF (%)"),
)
WITHIN = "within the noise"
#: More than the noise of the method; with and without knowledge of that of a second scan.
AS_SCANS, BEYOND = "within what repeated scans differ", "beyond the noise"
BEYOND_METHOD = "beyond the noise of the method"


@dataclass(frozen=True)
class IndexChange:
    """How an index changed from one study to another.

    Attributes:
        index: its name, with the unit.
        before: in the earlier study.
        after: in the later one.
        limit: repeatability coefficient in the unit of the index; 95 of 100 measurements of a heart
            that did not change differ by less.
        scan_limit: the same of repeated scans and readers; NaN where it is not known.
    """

    index: str
    before: float
    after: float
    limit: float
    scan_limit: float = math.nan

    @property
    def change(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def percent(self) -> float:
        """The change as a share of the earlier value; NaN where that is 0."""
        return 100 * self.change / self.before if self.before else math.nan

    @property
    def verdict(self) -> str:
        """One of the words above; "" where a value or the limit is not known."""
        size = abs(self.change)
        if not math.isfinite(size) or not math.isfinite(self.limit):
            return ""
        if size <= self.limit:
            return WITHIN
        if not math.isfinite(self.scan_limit):
            return BEYOND_METHOD
        return AS_SCANS if size <= self.scan_limit else BEYOND


def compare_indices(
    before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[IndexChange, ...]:
    """The change of each of :data:`FOLLOWED` that both studies have.

    Args:
        before: indices of the earlier study, as of
            :attr:`ctct.measurement.volumes.Measurements.indices`.
        after: of the later one.
    """
    return tuple(
        IndexChange(
            name,
            before[name],
            after[name],
            limit_of(name, before[name], after[name]),
            SCAN_LIMITS.get(name, math.nan),
        )
        for name in FOLLOWED
        if name in before and name in after
    )


def limit_of(index: str, before: float, after: float) -> float:
    """The repeatability coefficient: of EF in points, of others a share of the mean of both."""
    limit = LIMITS.get(index, math.nan)
    return limit if "(%)" in index else limit / 100 * (before + after) / 2
