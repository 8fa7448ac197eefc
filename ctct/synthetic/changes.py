"""The same heart stored in another way: turned, mirrored, or with pixels of another size.

What is measured of it should stay the same. The changed study has no affine, which would tell how
to turn it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ctct.io.study import Study

Change = Callable[[Study], Study]


def turn(study: Study) -> Study:
    """Every slice turned by 90°."""
    return _store(study, np.rot90(study.voxels, axes=(2, 3)), study.spacing_mm[::-1])


def mirror(study: Study) -> Study:
    """Every slice with its columns in reverse order."""
    return _store(study, study.voxels[..., ::-1], study.spacing_mm)


def resample(factor: float) -> Change:
    """Pixels ``factor`` times as large in the header and in the image, which covers the same."""

    def apply(study: Study) -> Study:
        rows, columns = (resampling_weights(n, factor) for n in study.voxels.shape[2:])
        row_mm, column_mm = study.spacing_mm
        voxels = rows @ study.voxels @ columns.T
        return _store(study, voxels, (row_mm * factor, column_mm * factor))

    return apply


def resampling_weights(size: int, factor: float) -> npt.NDArray[np.float32]:
    """Weight of each pixel of a line in each pixel of the new line, (new size, size).

    Linear interpolation; over as many pixels as a new one covers where these are larger.
    """
    centers = ((np.arange(round(size / factor)) + 0.5) * factor - 0.5).clip(0, size - 1)
    distance = np.abs(centers[:, None] - np.arange(size))
    weights = np.maximum(0, 1 - distance / max(factor, 1))
    normalized: npt.NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(
        np.float32
    )
    return normalized


#: Changes by name.
CHANGES: Mapping[str, Change] = {
    "turned by 90°": turn,
    "mirrored": mirror,
    "pixels × 0.7": resample(0.7),
    "pixels × 1.4": resample(1.4),
}


def _store(study: Study, voxels: npt.NDArray[np.floating], spacing_mm: Sequence[float]) -> Study:
    row_mm, column_mm = spacing_mm
    stored = np.ascontiguousarray(voxels, np.float32)
    return Study(study.name, stored, (row_mm, column_mm), study.slice_spacing_mm)
