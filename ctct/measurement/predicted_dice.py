"""The Dice that the labels of each structure probably have, without manual labels.

For each structure, logit(Dice) = intercept - Σ weight · term, where a term is an indicator, its
logarithm, or the like. No weight is negative, so more doubt never predicts a better Dice. The
numbers are in ``predicted_dice.json``, beside this file. They were fitted to the pair of version
0.1; for the pair that is bundled now, a new fit is no better (docs/results/accuracy.md).
``ctct benchmark quality --fit`` fits them to any model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, STRUCTURES
from ctct.measurement.masks import Mask, shift_to_neighbors

#: The indicators of each structure:
#:
#: - doubt: disagreement of the networks, summed, per voxel of the structure: of the whole frame,
#:   or for the RV of all that neither belongs to the LV and its wall nor lies beside them;
#: - edge: disagreement in the background beside the structure, summed, per voxel of it;
#: - voxels: how many it has;
#: - beyond: slices with a picture between the structure and the basal end of the stack;
#: - lack: share of the LV and its wall that lies in slices without the structure;
#: - open ring: see :class:`~ctct.measurement.quality_indicators.FrameIndicators`.
INDICATORS: Mapping[str, tuple[str, ...]] = {
    RV: ("doubt", "edge", "voxels", "beyond", "lack"),
    MYO: ("doubt", "open ring"),
    LV: ("doubt", "open ring", "voxels"),
}

_MIN_DOUBT, _MAX_BEYOND = 1e-3, 4.0

#: What each indicator adds to the doubt about a structure.
TERMS: Mapping[str, Callable[[float], float]] = {
    "doubt": lambda share: math.log(max(share, _MIN_DOUBT)),
    "edge": lambda share: math.log(max(share, _MIN_DOUBT)),
    "voxels": lambda count: -math.log(count),
    "beyond": lambda slices: min(slices, _MAX_BEYOND),
    "lack": float,
    "open ring": float,
}

#: An indicator is a reason for a low Dice if, at its typical value, the logit were larger by this.
_MIN_REASON = 0.3

StructureIndicators = Mapping[str, float]


@dataclass(frozen=True)
class DiceModel:
    """How the Dice of one structure follows from its indicators.

    Attributes:
        intercept: logit of the Dice where every term is 0.
        weights: indicator to the weight of its term, 0 or larger.
        typical: indicator to its median where the Dice is good.
    """

    intercept: float
    weights: Mapping[str, float]
    typical: Mapping[str, float]

    def predict(self, indicators: StructureIndicators) -> float:
        """The Dice, 0…1; NaN where an indicator is."""
        terms = (weight * TERMS[name](indicators[name]) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(sum(terms) - self.intercept))

    def find_reasons(self, indicators: StructureIndicators) -> list[str]:
        """The indicators that lower the Dice, the most important first; one at least."""
        lost = {
            name: weight * (TERMS[name](indicators[name]) - TERMS[name](self.typical[name]))
            for name, weight in self.weights.items()
        }
        names = sorted(lost, key=lambda name: -lost[name])
        return [name for name in names if lost[name] >= _MIN_REASON] or names[:1]


def read_models() -> dict[str, DiceModel]:
    """The model of each structure, by ``predicted_dice.json``."""
    path = resources.files("ctct.measurement") / "predicted_dice.json"
    content = json.loads(path.read_text("utf-8"))
    return {structure: DiceModel(**content[structure]) for structure in STRUCTURES}


MODELS = read_models()


def structure_indicators(
    mask: Mapping[str, Mask],
    disagreement: npt.NDArray[np.floating],
    total: float,
    open_ring: float,
    is_picture: npt.NDArray[np.bool_],
) -> dict[str, dict[str, float]]:
    """:data:`INDICATORS` of each structure that has a voxel.

    Args:
        mask: of each structure, (Z, H, W); may be cut to a box around the heart.
        disagreement: of the same shape.
        total: sum of the disagreement over the whole frame.
        open_ring: NaN where it is not defined, which counts as closed.
        is_picture: (Z,), the slices that hold a picture.
    """
    wall = mask[MYO] | mask[LV]
    background = ~(wall | mask[RV])
    of_wall, edge = (
        float(disagreement[where].sum(dtype=float))
        for where in (wall | (background & _beside(wall)), background & _beside(mask[RV]))
    )
    beyond, lack = _extent(wall, mask[RV], is_picture)
    found: dict[str, dict[str, float]] = {}
    for structure in STRUCTURES:
        if voxels := int(np.count_nonzero(mask[structure])):
            values = {
                "doubt": (total - of_wall if structure == RV else total) / voxels,
                "edge": edge / voxels,
                "voxels": float(voxels),
                "beyond": beyond,
                "lack": lack,
                "open ring": open_ring if math.isfinite(open_ring) else 0.0,
            }
            found[structure] = {name: values[name] for name in INDICATORS[structure]}
    return found


def _beside(mask: Mask) -> Mask:
    beside: Mask = np.logical_or.reduce(shift_to_neighbors(mask))
    return beside


def _extent(wall: Mask, rv: Mask, is_picture: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """See "beyond" and "lack"; the base is at the end where the LV and its wall are wider."""
    area = wall.sum(axis=(1, 2)).astype(float)
    has_rv = np.asarray(rv.any(axis=(1, 2)))
    inside = np.flatnonzero(area)
    if not inside.size or not has_rv.any():
        return 0.0, float(bool(inside.size))
    center = (np.arange(len(area)) * area).sum() / area.sum()
    before = slice(0, int(has_rv.argmax()))
    after = slice(len(area) - int(has_rv[::-1].argmax()), None)
    beyond = before if center <= (inside[0] + inside[-1]) / 2 else after
    return float(np.count_nonzero(is_picture[beyond])), float(area[~has_rv].sum() / area.sum())


def predict_dice(
    indicators: Mapping[str, StructureIndicators], models: Mapping[str, DiceModel] = MODELS
) -> dict[str, float]:
    """The Dice that each structure probably has; 0 of one that has no voxel."""
    return {s: models[s].predict(indicators[s]) if s in indicators else 0.0 for s in STRUCTURES}


def explain_dice(
    structure: str, indicators: StructureIndicators, models: Mapping[str, DiceModel] = MODELS
) -> str:
    """Why the predicted Dice of a structure is low, in words."""
    slices, lack, ring = (indicators.get(name, 0.0) for name in ("beyond", "lack", "open ring"))
    words = {
        "doubt": "the networks disagree about it",
        "edge": "its outline is in dispute",
        "voxels": "it is small",
        "beyond": f"it is missing in the {_count_slices(slices)} at the base",
        "lack": f"{100 * lack:.0f} % of the LV and its wall lies in slices without it",
        "open ring": f"{100 * ring:.0f} % of the LV's outline has no muscle beside it",
    }
    return ", ".join(words[name] for name in models[structure].find_reasons(indicators))


def _count_slices(slices: float) -> str:
    return "slice" if slices == 1 else f"{slices:.0f} slices"
