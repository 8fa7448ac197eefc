"""Agreement of two label maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.labels import STRUCTURES, VALUE


def dice(prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> float:
    """Dice coefficient 2·|A∩B| / (|A| + |B|) of two masks of equal shape.

    1 where both masks are empty, 0 where one is.
    """
    if prediction.shape != reference.shape:
        raise InputError(f"masks differ in shape: {prediction.shape} and {reference.shape}")
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(prediction & reference) / total if total else 1.0


def dice_by_structure(
    prediction: npt.NDArray[np.integer], reference: npt.NDArray[np.integer]
) -> dict[str, float]:
    """Dice of each structure of two label maps of equal shape, usually one frame (Z, H, W)."""
    return {s: dice(prediction == VALUE[s], reference == VALUE[s]) for s in STRUCTURES}


def jaccard(prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> float:
    """Jaccard index |A∩B| / |A∪B|, which is D / (2 - D) of the Dice coefficient D.

    1 where both masks are empty, 0 where one is.
    """
    overlap = dice(prediction, reference)
    return overlap / (2 - overlap)
