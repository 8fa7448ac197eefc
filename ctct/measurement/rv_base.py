"""Whether the RV is labelled in one slice too many at the base.

At ES the base of the heart has come down, and the atrium or the outflow tract lies where the RV was
at ED. In such a slice alone they look like an RV. Beside the slice below it they do not: little of
the RV goes on into it, although the LV still has its whole wall there. Where the LV ends as well,
the RV may go on alone, as the outflow tract that some readers count as RV.

For the slice nearest the base, logit(chance that it is RV) = intercept - Σ weight · indicator. No
weight is negative. The numbers are in ``rv_base.json``, beside this file; ``ctct benchmark base
--fit`` fits them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE, bounding_box
from ctct.measurement.regions import APEX, BASE, region_of_slices
from ctct.measurement.stack_flags import MIN_SLICES

#: What speaks against an RV in a slice:
#:
#: - lost: share of the RV of the next slice towards the apex that does not go on into this one;
#: - wall: area of the LV and its wall in this slice, as a share of the largest;
#: - muscle: myocardium as a share of the LV and its wall, of the frame; larger at ES.
INDICATORS = ("lost", "wall", "muscle")

#: The RV is kept where its chance is at least this.
_MIN_CHANCE = 0.6


@dataclass(frozen=True)
class BaseModel:
    """How the chance that a slice is RV follows from its indicators.

    Attributes:
        intercept: logit of the chance where every indicator is 0.
        weights: indicator to its weight, 0 or larger.
    """

    intercept: float
    weights: Mapping[str, float]

    def chance(self, indicators: Mapping[str, float]) -> float:
        """The chance that it is RV, 0…1."""
        doubt = sum(weight * indicators[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(doubt - self.intercept))


def read_model() -> BaseModel:
    """The model of ``rv_base.json``."""
    path = resources.files("ctct.measurement") / "rv_base.json"
    return BaseModel(**json.loads(path.read_text("utf-8")))


MODEL = read_model()


def find_extra_slice(frame: npt.NDArray[np.uint8], model: BaseModel = MODEL) -> int | None:
    """The number of the basal slice whose RV is none; None where there is no such slice.

    Args:
        frame: (Z, H, W) label map, after clean-up.
        model: gives the chance that it is RV.
    """
    nearest = next(base_indicators(frame), None)
    if nearest is None:
        return None
    z, indicators = nearest
    return z if model.chance(indicators) < _MIN_CHANCE else None


def base_indicators(frame: npt.NDArray[np.uint8]) -> Iterator[tuple[int, dict[str, float]]]:
    """Number and :data:`INDICATORS` of each slice with RV, from the base, up to a gap or the end.

    None where base and apex are not known: the LV and its wall lie in fewer than
    :data:`~ctct.measurement.stack_flags.MIN_SLICES` slices.

    Args:
        frame: (Z, H, W) label map, after clean-up.
    """
    rows, columns = bounding_box(frame)
    frame = frame[:, rows, columns]
    regions = [region for region in region_of_slices(frame) if region]
    if len(regions) < MIN_SLICES:
        return
    towards_apex = 1 if regions.index(BASE) < regions.index(APEX) else -1
    muscle, blood = ((frame == VALUE[s]).sum(axis=(1, 2)) for s in (MYO, LV))
    wall = muscle + blood
    rv = frame == VALUE[RV]
    inside = np.flatnonzero(rv.any(axis=(1, 2)))[::towards_apex]
    for z, below in zip(inside.tolist(), inside[1:].tolist(), strict=False):
        if below != z + towards_apex:
            return
        going_on = np.count_nonzero(rv[z] & rv[below]) / np.count_nonzero(rv[below])
        yield (
            z,
            {
                "lost": 1 - going_on,
                "wall": float(wall[z] / wall.max()),
                "muscle": float(muscle.sum() / wall.sum()),
            },
        )
