"""Agreement of one frame of a label map with the reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ctct.evaluation.overlap import dice, dice_by_structure, jaccard
from ctct.evaluation.surface import assd, hd95, surface_distances
from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE
from ctct.measurement.regions import REGIONS, extend_regions, region_of_slices
from ctct.measurement.stack_flags import MIN_SLICES

LabelMap = npt.NDArray[np.uint8]

#: In place of what :func:`empty_in` says, of a structure that the reference does not tell of.
NOT_LABELLED = "not labelled"

DICE, JACCARD, HD95, ASSD = METRICS = ("Dice", "Jaccard", "HD95", "ASSD")


class SliceCounts(NamedTuple):
    """In how many slices a structure is labelled wrongly, whatever the overlap elsewhere.

    Attributes:
        missed: slices in which the reference has it and the prediction does not.
        present: slices in which the reference has it.
        false: slices in which the prediction has it and the reference does not.
        absent: slices in which the reference does not have it.
    """

    missed: int = 0
    present: int = 0
    false: int = 0
    absent: int = 0

    @property
    def missed_rate(self) -> float:
        """False negatives among the slices with the structure; NaN without any."""
        return self.missed / self.present if self.present else float("nan")

    @property
    def false_rate(self) -> float:
        """False positives among the slices without the structure; NaN without any."""
        return self.false / self.absent if self.absent else float("nan")

    def add(self, other: SliceCounts) -> SliceCounts:
        """The counts of both together."""
        return SliceCounts(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class VolumeScore:
    """Agreement of one frame of one case.

    Attributes:
        patient: name of the patient.
        case: name of the file without ``_seg`` and ``_gt``.
        frame: number of the frame in the file, from 0.
        phase: "ED", "ES" or "".
        metrics: for each structure, the value of each of :data:`METRICS`.
        regions: for each region (base, mid, apex) that has a slice, the Dice of each structure.
        slices: for each of these regions, the slices of each structure that are missed or false;
            slices beyond an end of the reference's ventricle count as base or apex.
        empty: for each structure, see :func:`empty_in`; or :data:`NOT_LABELLED`. Such a structure
            has no value: metrics and volumes are NaN, and no slices are counted.
        predicted_ml: for each structure, the volume of the prediction in milliliters.
        reference_ml: the same of the reference.
        exchanged: see :func:`ctct.evaluation.evaluate.find_exchanged`.
    """

    patient: str
    case: str
    frame: int
    phase: str
    metrics: dict[str, dict[str, float]]
    regions: dict[str, dict[str, float]]
    slices: dict[str, dict[str, SliceCounts]]
    empty: dict[str, str]
    predicted_ml: dict[str, float] = field(default_factory=dict)
    reference_ml: dict[str, float] = field(default_factory=dict)
    exchanged: dict[str, str] = field(default_factory=dict)

    @property
    def mean_dice(self) -> float:
        """Mean Dice of the structures that the reference labels."""
        return float(np.nanmean([self.metrics[s][DICE] for s in STRUCTURES]))

    def leave_out(self, structures: Collection[str]) -> VolumeScore:
        """The score without some structures, as :data:`NOT_LABELLED`."""
        nothing = dict.fromkeys(structures, float("nan"))
        return replace(
            self,
            metrics=self.metrics | {s: dict.fromkeys(METRICS, float("nan")) for s in structures},
            regions={region: dice | nothing for region, dice in self.regions.items()},
            slices={
                region: {s: count for s, count in counts.items() if s not in structures}
                for region, counts in self.slices.items()
            },
            empty=self.empty | dict.fromkeys(structures, NOT_LABELLED),
            predicted_ml=self.predicted_ml | nothing,
            reference_ml=self.reference_ml | nothing,
        )


def find_unlabelled(reference: LabelMap) -> list[str]:
    """Structures that a reference (Z, H, W) lacks because nobody contoured them.

    A stack that is labelled in :data:`~ctct.measurement.stack_flags.MIN_SLICES` slices or more
    shows a heart with all three structures. In fewer slices, one may truly be missing.
    """
    if np.count_nonzero(reference.any((1, 2))) < MIN_SLICES:
        return []
    return [s for s in STRUCTURES if not (reference == VALUE[s]).any()]


def metrics_by_structure(
    prediction: LabelMap, reference: LabelMap, spacing: Sequence[float] | None
) -> dict[str, dict[str, float]]:
    """Every metric of every structure.

    Args:
        prediction: label map (Z, H, W).
        reference: label map of the same shape.
        spacing: slice, row and column spacing; without it, distances are NaN.
    """
    if spacing and len(prediction) == 1:  # a single slice has outlines in its plane alone
        prediction, reference, spacing = prediction[0], reference[0], spacing[1:]
    result = {}
    for structure in STRUCTURES:
        a, b = prediction == VALUE[structure], reference == VALUE[structure]
        distances = surface_distances(a, b, spacing) if spacing else (np.empty(0), np.empty(0))
        result[structure] = {
            DICE: dice(a, b),
            JACCARD: jaccard(a, b),
            HD95: hd95(*distances),
            ASSD: assd(*distances),
        }
    return result


def dice_by_region(prediction: LabelMap, reference: LabelMap) -> dict[str, dict[str, float]]:
    """Dice of each structure in each third of the ventricle of the reference.

    A third without a slice is left out.
    """
    regions = np.array(_regions(reference))
    return {
        region: dice_by_structure(prediction[regions == region], reference[regions == region])
        for region in REGIONS
        if (regions == region).any()
    }


def count_slices(prediction: LabelMap, reference: LabelMap) -> dict[str, dict[str, SliceCounts]]:
    """Missed and false slices of each structure in each third of the ventricle.

    Slices beyond either end of the reference's ventricle belong to the third at that end, for
    there a segmentation runs on too far. A third without a slice is left out; all are, without a
    ventricle in the reference.
    """
    regions = np.array(extend_regions(_regions(reference)))
    counts: dict[str, dict[str, SliceCounts]] = {}
    for region in REGIONS:
        inside = regions == region
        if inside.any():
            counts[region] = {
                structure: _count(
                    (prediction[inside] == VALUE[structure]).any((1, 2)),
                    (reference[inside] == VALUE[structure]).any((1, 2)),
                )
                for structure in STRUCTURES
            }
    return counts


def _regions(reference: LabelMap) -> list[str]:
    """Thirds of the left ventricle, or of the right one where the reference has no other."""
    has_left = np.isin(reference, (VALUE[LV], VALUE[MYO])).any()
    return region_of_slices(reference, (LV, MYO) if has_left else (RV,))


def _count(predicted: npt.NDArray[np.bool_], present: npt.NDArray[np.bool_]) -> SliceCounts:
    return SliceCounts(
        missed=int((present & ~predicted).sum()),
        present=int(present.sum()),
        false=int((predicted & ~present).sum()),
        absent=int((~present).sum()),
    )


def empty_in(prediction: LabelMap, reference: LabelMap, value: int) -> str:
    """Which mask of a label value is empty: "" (neither), "both", "prediction" or "reference"."""
    in_prediction, in_reference = (bool((m == value).any()) for m in (prediction, reference))
    if in_prediction:
        return "" if in_reference else "reference"
    return "prediction" if in_reference else "both"
