"""How much the indices of one heart differ from one measurement to the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from ctct.benchmark.generalization import Deviation
from ctct.report.html import number

#: 95 of 100 differences of two measurements are smaller than this times the standard deviation of
#: one (Bland and Altman, Stat Methods Med Res 8:135, 1999).
_COVERAGE = 1.96 * math.sqrt(2)


def repeatability(deviations: Iterable[Deviation]) -> dict[str, float]:
    """The repeatability coefficient of each index, in percent, or of EF in points.

    It is 1.96 √2 times the standard deviation within a patient: the root of the mean over patients
    of the variance of the unchanged scan, whose deviation is 0, and its changed copies. Without a
    value where no patient has two.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for deviation in deviations:
        for index, value in {**deviation.percent, **deviation.points}.items():
            if math.isfinite(value):
                of_patient = values.setdefault(index, {}).setdefault(deviation.patient, [0.0])
                of_patient.append(value)
    return {
        index: _COVERAGE * math.sqrt(np.mean([np.var(v, ddof=1) for v in by_patient.values()]))
        for index, by_patient in values.items()
    }


def repeatability_row(name: str, deviations: Sequence[Deviation]) -> dict[str, str]:
    """The row of a set in a table; at least one deviation."""
    patients = len({deviation.patient for deviation in deviations})
    cells = {"set": name, "patients": str(patients)}
    found = repeatability(deviations)
    for index in (*deviations[0].percent, *deviations[0].points):
        unit = "points" if "EF" in index else "%"
        cells[f"{index.split()[0]} ({unit})"] = number(found.get(index))
    return cells
