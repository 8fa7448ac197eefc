"""A patient's body, and the indices that depend on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ctct.errors import InputError
from ctct.labels import LV, RV

#: Sexes with reference ranges.
SEXES = ("M", "F")

#: Values outside are mistakes, for instance of the unit.
_PLAUSIBLE = {
    "height_cm": (30.0, 250.0),
    "weight_kg": (1.0, 400.0),
    "heart_rate_bpm": (20.0, 250.0),
}
#: Body mass index in kg/m2; inches and pounds, or swapped columns, lie outside.
_PLAUSIBLE_BMI = (8.0, 80.0)

#: Indices that are divided by the body surface area, and the name of the quotient.
INDEXED: Mapping[str, str] = {
    **{f"{v}{i} (mL)": f"{v}{i}i (mL/m2)" for v in (LV, RV) for i in ("EDV", "ESV", "SV")},
    "LVM (g)": "LVMi (g/m2)",
}

#: Columns of :func:`indices_of_subject`, in order.
SUBJECT_COLUMNS = ("BSA (m2)", *INDEXED.values(), "LVCO (L/min)", "LVCOi (L/min/m2)")


@dataclass(frozen=True)
class Subject:
    """A patient's body; None where something is not known.

    Attributes:
        sex: "M" or "F".
        height_cm: height.
        weight_kg: weight.
        heart_rate_bpm: heart rate during the scan.

    Raises:
        InputError: a value is not possible.
    """

    sex: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    heart_rate_bpm: float | None = None

    def __post_init__(self) -> None:
        if self.sex is not None and self.sex not in SEXES:
            raise InputError(f"sex is {self.sex!r}, expected M or F")
        for name, (low, high) in _PLAUSIBLE.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                hint = " (in meters?)" if name == "height_cm" and 0.3 <= value <= 2.5 else ""
                raise InputError(f"{name} is {value:g}{hint}, expected {low:g} to {high:g}")
        if self.height_cm is not None and self.weight_kg is not None:
            bmi = self.weight_kg / (self.height_cm / 100) ** 2
            if not _PLAUSIBLE_BMI[0] <= bmi <= _PLAUSIBLE_BMI[1]:
                raise InputError(
                    f"height_cm is {self.height_cm:g} and weight_kg is {self.weight_kg:g}, a body "
                    f"mass index of {bmi:.3g} kg/m2, expected {_PLAUSIBLE_BMI[0]:g} to "
                    f"{_PLAUSIBLE_BMI[1]:g}; check the units"
                )

    @property
    def bsa_m2(self) -> float | None:
        """Body surface area √(height · weight / 3600) (Mosteller, N Engl J Med 317:1098, 1987)."""
        if self.height_cm is None or self.weight_kg is None:
            return None
        return math.sqrt(self.height_cm * self.weight_kg / 3600)


def indices_of_subject(indices: Mapping[str, float], subject: Subject) -> dict[str, float]:
    """Indices per body surface area, and cardiac output: stroke volume times heart rate.

    Args:
        indices: those of :attr:`ctct.measurement.volumes.Measurements.indices`.
        subject: the patient's body.

    Returns:
        Column of :data:`SUBJECT_COLUMNS` to value, as far as the body is known.
    """
    values: dict[str, float] = {}
    bsa_m2 = subject.bsa_m2
    if bsa_m2 is not None:
        values["BSA (m2)"] = bsa_m2
        values |= {INDEXED[name]: indices[name] / bsa_m2 for name in INDEXED if name in indices}
    if subject.heart_rate_bpm is not None and "LVSV (mL)" in indices:
        output = indices["LVSV (mL)"] * subject.heart_rate_bpm / 1000
        values["LVCO (L/min)"] = output
        if bsa_m2 is not None:
            values["LVCOi (L/min/m2)"] = output / bsa_m2
    return values
