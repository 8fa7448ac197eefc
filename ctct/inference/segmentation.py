"""The labels of a study, and the check whether a study can be segmented."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.inference.clean_up import clean_up
from ctct.inference.stack_context import remove_rv_above_base
from ctct.io.study import Study

#: Pixels per side of the smallest slice that can show a heart.
MIN_PIXELS = 32
#: A scan has larger values than this; those of label maps are small.
MAX_LABEL = 15


@dataclass(frozen=True)
class Segmentation:
    """The labels of a study.

    Attributes:
        study: the study that was segmented.
        labels: (T, Z, H, W) uint8, 0 background, 1 RV, 2 MYO, 3 LV.
        disagreement: (T, Z, H, W) float16, 0…1: half the L1 distance between the class
            probabilities of the CNN and the Transformer.
        removed: number of voxels of each frame that the clean-up removed or changed; those of the
            RV above the base do not count.
    """

    study: Study
    labels: npt.NDArray[np.uint8]
    disagreement: npt.NDArray[np.float16]
    removed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The result of one of many studies.

    Attributes:
        study: the study.
        segmentation: its labels; None where it failed.
        error: why it failed; None where it did not.
        seconds: its share of the runtime's time.
    """

    study: Study
    segmentation: Segmentation | None
    error: Exception | None
    seconds: float


def clean_components(raw: Segmentation) -> Segmentation:
    """Remove what is not part of the heart, and fill the ring.

    See :func:`clean_up`, and :func:`remove_rv_above_base`, which does not count as removed.
    """
    labels = clean_up(raw.labels)
    removed = np.count_nonzero(raw.labels != labels, axis=(1, 2, 3))
    labels = remove_rv_above_base(labels, raw.study)
    return replace(raw, labels=labels, removed=tuple(removed.tolist()))


def check_segmentable(study: Study) -> None:
    """Refuse studies that no network can segment: too small, not finite, or constant.

    Raises:
        InputError: naming the file, what was found and the remedy.
    """
    where = study.path or study.name
    rows, columns = study.voxels.shape[2:]
    if min(rows, columns) < MIN_PIXELS:
        raise InputError(
            f"{where}: slices are {rows}×{columns} pixels, expected at least "
            f"{MIN_PIXELS}×{MIN_PIXELS}; is this a short-axis image?"
        )
    low, high = float(study.voxels.min()), float(study.voxels.max())
    if not np.isfinite(low + high):
        bad = int(np.count_nonzero(~np.isfinite(study.voxels)))
        raise InputError(
            f"{where}: {bad} of {study.voxels.size} voxels are NaN or infinite; "
            "replace them first, for instance with numpy.nan_to_num"
        )
    if low == high:
        raise InputError(f"{where}: every voxel is {low:g}; the image is empty, export it again")
    if low >= 0 and high <= MAX_LABEL and (study.voxels == study.voxels.round()).all():
        raise InputError(
            f"{where}: holds only the whole numbers {low:g} to {high:g}, as a label map does; give "
            "the scan"
        )
