"""Distances between the surfaces of two masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError

Distances = npt.NDArray[np.float64]


def hd95(there: Distances, back: Distances) -> float:
    """95 % Hausdorff distance: the 95th percentile of all distances, both directions in one list.

    This is the definition of medpy, which papers on ACDC report; MONAI takes the larger of two
    percentiles instead.

    Args:
        there: distances from the first surface to the second, of :func:`surface_distances`.
        back: distances from the second surface to the first.

    Returns:
        The distance in the unit of ``there`` and ``back``; NaN where a mask is empty.
    """
    return float(np.percentile(np.concatenate((there, back)), 95)) if there.size else float("nan")


def assd(there: Distances, back: Distances) -> float:
    """Average symmetric surface distance: the mean of both directions' distances in one list.

    This is the definition of medpy since 0.5. Earlier versions and some papers take the mean of the
    two directions' means.

    Arguments, unit and empty masks as for :func:`hd95`.
    """
    return float(np.concatenate((there, back)).mean()) if there.size else float("nan")


def surface_distances(
    prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[Distances, Distances]:
    """Distance of each surface voxel of one mask to the nearest surface voxel of the other.

    A surface voxel has a neighbor across a face that is outside the mask; beyond the edge of the
    array, all is outside (the definition of medpy). The distances come from the exact Euclidean
    distance transform of Felzenszwalb and Huttenlocher (Theory of Computing 8:415, 2012), in
    float32.

    Args:
        prediction: mask of two or three dimensions.
        reference: mask of the same shape.
        spacing: distance between neighboring voxels along each axis, in the unit of the result.

    Returns:
        Distances from the surface of ``prediction``, and from that of ``reference``; both empty
        where either mask is.

    Raises:
        InputError: shapes or number of spacings do not match.
    """
    import edt

    if prediction.shape != reference.shape or prediction.ndim != len(spacing):
        raise InputError(
            f"masks {prediction.shape} and {reference.shape} with {len(spacing)} spacings: "
            "expected equal shapes and one spacing per axis"
        )
    if not (prediction.any() and reference.any()):
        return np.empty(0), np.empty(0)
    box = _bounding_box(prediction | reference)
    predicted, expected = _find_surface(prediction[box]), _find_surface(reference[box])
    to_expected, to_predicted = (
        edt.edt(np.ascontiguousarray(~surface), anisotropy=tuple(spacing), black_border=False)
        for surface in (expected, predicted)
    )
    return to_expected[predicted].astype(np.float64), to_predicted[expected].astype(np.float64)


def _find_surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner = tuple(slice(1, -1) for _ in mask.shape)
    inside = mask.copy()
    for axis in range(mask.ndim):
        for shift in (-1, 1):
            inside &= np.roll(padded, shift, axis)[inner]
    return mask & ~inside


def _bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    spans = (
        np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        for axis in range(mask.ndim)
    )
    return tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans)
