"""Quality indicators: whether the labels of a frame can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE, bounding_box
from ctct.measurement.masks import Mask, count_sides, has_picture, shift_to_neighbors
from ctct.measurement.predicted_dice import (
    StructureIndicators,
    predict_dice,
    structure_indicators,
)

#: The score of a frame in which nothing can be trusted.
WORST = 10.0

#: The labels of a slice with a larger mean disagreement are in doubt: chosen on the 10 validation
#: patients of ACDC, see "Slices in doubt" in ``docs/results/accuracy.md``.
_DOUBTFUL = 0.15

#: A slice in which less of the LV's outline lies against myocardium has no ring. In the manual
#: labels of 80 ACDC patients it is at least 0.84, also at the base.
_MIN_RING = 0.1

LabelMap = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FrameIndicators:
    """Quality indicators of one frame; shares are 0…1, and NaN where they are undefined.

    Attributes:
        missing: structures without a voxel.
        open_ring: share of the LV's outline that does not lie against myocardium, leaving out the
            outermost slice at either end, where the ring may be open by nature.
        gaps: slices without LV between slices that have it, or without LV and myocardium between
            slices that have either.
        scattered: share of the labelled voxels that the clean-up removed or changed: apart from the
            heart, or in holes of it.
        swapped: the RV's outline lies against myocardium more than the LV's does.
        cut_off: share of the outline of all labels that lies at the edge of the image.
        relative_disagreement: sum of the disagreement over the whole frame per labelled voxel: how
            many voxels the networks disagree on for each one that they label.
        disagreement: structure to the mean disagreement over its voxels.
        slice_disagreement: mean disagreement over the labelled voxels of each slice; NaN where
            there are none.
        contrast: difference of the mean intensity of LV blood and myocardium over their pooled
            standard deviation.
        hollow: volume within the ring of myocardium that is not labelled, or as RV, as a share of
            the LV's volume.
        ringless: share of the LV that lies in slices with hardly any myocardium beside it.
        by_structure: structure to its indicators in :mod:`ctct.measurement.predicted_dice`.
        predicted_dice: structure to the Dice that it probably has; NaN of a single network.
    """

    missing: tuple[str, ...]
    open_ring: float
    gaps: int
    scattered: float
    swapped: bool
    cut_off: float
    relative_disagreement: float
    disagreement: dict[str, float]
    slice_disagreement: tuple[float, ...]
    contrast: float
    hollow: float = 0.0
    ringless: float = 0.0
    by_structure: Mapping[str, StructureIndicators] = field(default_factory=dict)
    predicted_dice: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """How doubtful the labels are, 0 to :data:`WORST`: relative disagreement and open ring.

        The open ring, where it is defined, counts twice; chosen on 8 training patients and damaged
        copies of them, see ``ctct benchmark quality``. NaN for a single network, which cannot
        disagree.
        """
        ring = self.open_ring if np.isfinite(self.open_ring) else 0.0
        total = self.relative_disagreement + 2 * ring
        return min(total, WORST) if np.isfinite(total) else float("nan")

    @property
    def doubtful_slices(self) -> tuple[int, ...]:
        """Numbers of the slices whose labels are in doubt, as the networks disagree."""
        return tuple(z for z, value in enumerate(self.slice_disagreement) if value > _DOUBTFUL)


def frame_indicators(
    image: npt.NDArray[np.float32],
    labels: LabelMap,
    disagreement: npt.NDArray[np.floating],
    removed: int = 0,
) -> FrameIndicators:
    """Compute the quality indicators of one frame.

    Args:
        image: (Z, H, W) raw intensities.
        labels: (Z, H, W), after clean-up.
        disagreement: (Z, H, W), 0…1.
        removed: number of voxels that the clean-up removed or changed.
    """
    if not image.shape == labels.shape == disagreement.shape or labels.ndim != 3:
        raise InputError(
            f"image {image.shape}, labels {labels.shape} and disagreement {disagreement.shape} "
            "must be (slices, rows, columns)"
        )
    total = float(disagreement.sum(dtype=float))
    rim = np.ones(labels.shape[1:], bool)
    rim[1:-1, 1:-1] = False
    is_picture = has_picture(image)
    rows, columns = bounding_box(labels, margin=1)  # beyond them nothing is labelled
    rim = rim[rows, columns]
    image, labels = image[:, rows, columns], labels[:, rows, columns]
    disagreement = disagreement[:, rows, columns]
    mask = {s: labels == VALUE[s] for s in STRUCTURES}
    wall = mask[MYO] | mask[LV]
    area = wall.sum(axis=(1, 2))
    inside = np.flatnonzero(area)
    core = slice(inside[0] + 1, inside[-1]) if inside.size > 2 else slice(0, len(labels))
    foreground = labels > 0
    labelled = int(np.count_nonzero(foreground))
    open_ring = 1 - _against(mask[LV][core], mask[MYO][core])
    by_structure = structure_indicators(mask, disagreement, total, open_ring, is_picture)
    return FrameIndicators(
        missing=tuple(s for s in STRUCTURES if not mask[s].any()),
        open_ring=open_ring,
        gaps=int(np.count_nonzero(_gaps(area > 0) | _gaps(mask[LV].any(axis=(1, 2))))),
        scattered=removed / (labelled + removed) if labelled + removed else float("nan"),
        swapped=bool(
            mask[RV].any()
            and mask[LV].any()
            and _against(mask[RV], mask[MYO]) > _against(mask[LV], mask[MYO])
        ),
        cut_off=_at_edge(foreground, rim),
        relative_disagreement=total / max(labelled, 1),
        disagreement={s: _mean(disagreement, mask[s]) for s in STRUCTURES},
        slice_disagreement=tuple(
            _mean(values, where) for values, where in zip(disagreement, foreground, strict=True)
        ),
        contrast=_contrast(image, mask[LV], mask[MYO]),
        hollow=_ratio(np.count_nonzero((count_sides(mask[MYO]) == 4) & ~wall), mask[LV]),
        ringless=_ratio(_count_ringless(mask[LV], mask[MYO]), mask[LV]),
        by_structure=by_structure,
        predicted_dice=predict_dice(by_structure),
    )


def _against(inner: Mask, outer: Mask) -> float:
    """Share of the pixel edges on the outline of ``inner`` that border ``outer``.

    NaN where there is no outline.
    """
    edges = touching = 0
    for beside_inner, beside_outer in zip(
        shift_to_neighbors(inner), shift_to_neighbors(outer), strict=True
    ):
        outline = inner & ~beside_inner
        edges += int(np.count_nonzero(outline))
        touching += int(np.count_nonzero(outline & beside_outer))
    return touching / edges if edges else float("nan")


def _gaps(present: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(Z,), the slices without a structure between slices that have it."""
    before = np.logical_or.accumulate(present)
    after = np.logical_or.accumulate(present[::-1])[::-1]
    between: npt.NDArray[np.bool_] = before & after & ~present
    return between


def _count_ringless(lv: Mask, myo: Mask) -> int:
    """Voxels of the LV in slices with hardly any myocardium beside it."""
    return sum(
        int(np.count_nonzero(blood))
        for blood, muscle in zip(lv, myo, strict=True)
        if _against(blood, muscle) < _MIN_RING
    )


def _ratio(voxels: int | np.intp, mask: Mask) -> float:
    total = int(np.count_nonzero(mask))
    return int(voxels) / total if total else float("nan")


def _at_edge(mask: Mask, rim: Mask) -> float:
    """Share of the outline's pixels that lie on the rim (H, W) of the image."""
    outline = mask & ~np.logical_and.reduce(shift_to_neighbors(mask))
    edges = int(np.count_nonzero(outline))
    return int(np.count_nonzero(outline & rim)) / edges if edges else float("nan")


def _mean(values: npt.NDArray[np.floating], where: Mask) -> float:
    return float(values[where].mean(dtype=float)) if where.any() else float("nan")


def _contrast(image: npt.NDArray[np.float32], blood: Mask, muscle: Mask) -> float:
    if not (blood.any() and muscle.any()):
        return float("nan")
    a, b = image[blood].astype(float), image[muscle].astype(float)
    spread = float(np.sqrt((a.var() + b.var()) / 2))
    return float(a.mean() - b.mean()) / spread if spread else float("nan")
