"""Studies of one patient side by side, as a table and in the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from markupsafe import Markup

from ctct.measurement.follow_up import FOLLOWED, IndexChange
from ctct.measurement.repeatability import SCAN_LIMITS, SCAN_SOURCE, SOURCE
from ctct.report.html import number, render
from ctct.report.tables import Row, Table


class Compared(Protocol):
    """Studies compared with the first; see :class:`ctct.prediction.follow_ups.FollowUp`."""

    @property
    def studies(self) -> Sequence[str]:
        """Their names, the earliest first."""
        ...

    @property
    def indices(self) -> Sequence[Mapping[str, float]]:
        """Of each study."""
        ...

    @property
    def changes(self) -> Sequence[Sequence[IndexChange]]:
        """Of each later study against the first."""
        ...

    @property
    def doubts(self) -> Sequence[str]:
        """What speaks against the comparison."""
        ...


def _rows(one: Compared) -> Iterator[Row]:
    for study, changes in zip(one.studies[1:], one.changes, strict=True):
        for change in changes:
            yield [
                *(one.studies[0], study, change.index, change.before, change.after),
                *(change.change, change.percent, change.limit, change.verdict),
                "; ".join(one.doubts),
            ]


#: One row per later study and index: both values, the change, and whether it is noise.
FOLLOW_UPS: Table[Compared] = Table(
    "follow_up",
    (
        *("first study", "study", "index", "first", "value", "change", "change (%)"),
        *("repeatability", "said", "doubts"),
    ),
    _rows,
    frozenset({"first study", "study", "index", "said", "doubts"}),
    digits={"change (%)": 1},
)


def follow_up_html(follow_ups: Sequence[Compared]) -> Markup:
    """The section of the report; empty without studies to compare."""
    if not follow_ups:
        return Markup()
    scans = [f"{name} {limit:g}" for name, limit in SCAN_LIMITS.items()]
    return render(
        "follow_up.html",
        follow_ups=list(map(_table, follow_ups)),
        source=SOURCE,
        scans=", ".join(scans),
        scan_source=SCAN_SOURCE,
    )


def _table(one: Compared) -> dict[str, object]:
    columns = ["index", one.studies[0]]
    for study in one.studies[1:]:
        columns += [study, "change", "noise ±", ""]
    rows = []
    for name in FOLLOWED:
        changes = [change for later in one.changes for change in later if change.index == name]
        if len(changes) < len(one.changes):
            continue
        cells = [number(changes[0].before)]
        for change in changes:
            shown = f"{change.change:+.1f}" if math.isfinite(change.change) else "–"
            cells += [number(change.after), shown, number(change.limit), change.verdict]
        rows.append((name, cells))
    return {
        "title": " → ".join(one.studies),
        "columns": columns,
        "rows": rows,
        "doubts": one.doubts,
    }
