"""Reference ranges of healthy adults, and which indices lie outside them.

All are of Petersen et al., "Reference ranges for cardiac structure and function using
cardiovascular magnetic resonance (CMR) in Caucasians from the UK Biobank population cohort",
J Cardiovasc Magn Reson 19:18, 2017, doi:10.1186/s12968-017-0327-9: 368 men and 432 women aged 45 to
74, 1.5 T, short axis, papillary muscles counted to the cavity, as in the labels of ACDC.

For LVEF and indexed LV mass they are mean ± 1.96 standard deviations of its abstract, read there:
LVEF 58 ± 5 % of men and 61 ± 5 % of women, mass 53 ± 9 and 42 ± 7 g/m². Only these have a z-score.
Volumes have that paper's limits of the abnormal at any age; its tables could not be read when this
was last checked, so these are of second hand (:data:`SECOND_HAND`). Younger adults, athletes and
other populations differ: a mark is no diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping

SOURCE = "Petersen et al., J Cardiovasc Magn Reson 19:18, 2017 (UK Biobank, 45 to 74 years)"

#: Index to the lowest and highest normal value of men and of women.
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "LVEDV (mL)": {"M": (93, 232), "F": (80, 175)},
    "LVESV (mL)": {"M": (34, 103), "F": (25, 73)},
    "LVSV (mL)": {"M": (49, 140), "F": (47, 110)},
    "LVEF (%)": {"M": (48, 68), "F": (51, 71)},
    "RVEDV (mL)": {"M": (99, 260), "F": (83, 192)},
    "RVESV (mL)": {"M": (34, 135), "F": (26, 95)},
    "RVSV (mL)": {"M": (54, 140), "F": (47, 107)},
    "LVEDVi (mL/m2)": {"M": (52, 117), "F": (50, 101)},
    "LVESVi (mL/m2)": {"M": (19, 52), "F": (16, 43)},
    "LVSVi (mL/m2)": {"M": (28, 70), "F": (29, 63)},
    "RVEDVi (mL/m2)": {"M": (55, 128), "F": (51, 110)},
    "RVESVi (mL/m2)": {"M": (19, 67), "F": (16, 55)},
    "RVSVi (mL/m2)": {"M": (30, 69), "F": (29, 61)},
    "LVMi (g/m2)": {"M": (35, 71), "F": (28, 56)},
}


#: Mean and standard deviation of men and of women, as the abstract of the paper has them.
MEANS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "LVEF (%)": {"M": (58, 5), "F": (61, 5)},
    "LVMi (g/m2)": {"M": (53, 9), "F": (42, 7)},
}

#: Indices whose range was not checked in the paper itself.
SECOND_HAND = frozenset(RANGES.keys() - MEANS.keys())


def z_scores(indices: Mapping[str, float], sex: str | None) -> dict[str, float]:
    """Standard deviations from the reference mean, of each index whose mean is known."""
    return {
        index: (value - mean) / sd
        for index, value in indices.items()
        for of_sex, (mean, sd) in MEANS.get(index, {}).items()
        if of_sex == sex
    }


def normal_range(index: str, sex: str | None) -> tuple[float, float] | None:
    """Lowest and highest normal value of an index; None without a sex or a range."""
    return RANGES.get(index, {}).get(sex) if sex else None


def out_of_range(indices: Mapping[str, float], sex: str | None) -> dict[str, str]:
    """Each index outside the range of ``sex``, to "low" or "high"."""
    marks = {}
    for index, value in indices.items():
        limits = normal_range(index, sex)
        if limits and value < limits[0]:
            marks[index] = "low"
        elif limits and value > limits[1]:
            marks[index] = "high"
    return marks
