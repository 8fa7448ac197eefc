"""How one frame of a label map agrees with a manual one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.evaluation.overlap import dice, dice_by_structure, jaccard
from ctct.evaluation.surface import assd, hd95, surface_distances
from ctct.labels import STRUCTURES, VALUE
from ctct.measurement.regions import REGIONS, region_of_slices

LabelMap = npt.NDArray[np.uint8]

DICE, JACCARD, HD95, ASSD = METRICS = ("Dice", "Jaccard", "HD95", "ASSD")


@dataclass(frozen=True)
class VolumeScore:
    """Agreement of one frame of one case.

    Attributes:
        patient: whose heart it is.
        case: name of the file, without ``_seg`` and ``_gt``.
        frame: number of the frame in the file, from 0.
        phase: "ED", "ES" or "".
        metrics: structure to metric (:data:`METRICS`) to value.
        regions: region (base, mid, apex) to structure to Dice; no entry without a slice.
        empty: structure to "" (neither mask is empty), "both", "prediction" or "reference".
    """

    patient: str
    case: str
    frame: int
    phase: str
    metrics: dict[str, dict[str, float]]
    regions: dict[str, dict[str, float]]
    empty: dict[str, str]

    @property
    def mean_dice(self) -> float:
        """Mean Dice of the three structures."""
        return float(np.mean([self.metrics[s][DICE] for s in STRUCTURES]))


def metrics_by_structure(
    own: LabelMap, manual: LabelMap, spacing: Sequence[float] | None
) -> dict[str, dict[str, float]]:
    """Every metric of every structure.

    Args:
        own: (Z, H, W) label map.
        manual: the reference, of the same shape.
        spacing: slice, row and column spacing; None for no distances, which are NaN then.
    """
    if spacing and len(own) == 1:  # a lone slice: outlines in its plane, not faces across it
        own, manual, spacing = own[0], manual[0], spacing[1:]
    result = {}
    for structure in STRUCTURES:
        a, b = own == VALUE[structure], manual == VALUE[structure]
        there, back = surface_distances(a, b, spacing) if spacing else (np.empty(0), np.empty(0))
        result[structure] = {
            DICE: dice(a, b),
            JACCARD: jaccard(a, b),
            HD95: hd95(there, back),
            ASSD: assd(there, back),
        }
    return result


def dice_by_region(own: LabelMap, manual: LabelMap) -> dict[str, dict[str, float]]:
    """Dice of each structure in each third of the reference's left ventricle that has a slice."""
    of_slice = np.array(region_of_slices(manual))
    return {
        region: dice_by_structure(own[of_slice == region], manual[of_slice == region])
        for region in REGIONS
        if (of_slice == region).any()
    }


def empty_in(own: LabelMap, manual: LabelMap, value: int) -> str:
    """Which mask of a label value is empty: "", "both", "prediction" or "reference"."""
    filled = (bool((own == value).any()), bool((manual == value).any()))
    names = {(True, True): "", (False, False): "both", (False, True): "prediction"}
    return names.get(filled, "reference")
