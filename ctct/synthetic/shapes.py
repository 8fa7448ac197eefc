"""Drawing with signed distances: a shape is the distance to its edge, negative inside, in mm.

Distances make partial volume simple: if the center of a pixel lies ``d`` outside of an edge that is
blurred over ``width``, the shape covers ``1/2 - d / width`` of it. All functions broadcast.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Field: TypeAlias = npt.NDArray[np.floating[Any]]


def ellipse(x_mm: Field, y_mm: Field, semi_x_mm: Field | float, semi_y_mm: Field | float) -> Field:
    """Distance to an axis-parallel ellipse about the origin, to first order near its edge.

    With ``f = |(x/a, y/b)|`` and the length of its gradient ``|(x/a², y/b²)| / f``, the step
    from a point to the edge ``f = 1`` is ``(f - 1) f / |(x/a², y/b²)|``.
    """
    x, y = x_mm / semi_x_mm, y_mm / semi_y_mm
    f = np.sqrt(x * x + y * y)
    x, y = x / semi_x_mm, y / semi_y_mm
    g = np.sqrt(x * x + y * y)
    distance: Field = f * (f - 1) / np.maximum(g, 1e-6)
    return distance


def union(a: Field, b: Field, blend_mm: float = 0.0) -> Field:
    """Union of two shapes; corners are filled where both edges are within ``blend_mm``."""
    lower: Field = np.minimum(a, b)
    if blend_mm > 0:
        lower = lower - np.maximum(blend_mm - np.abs(a - b), 0) ** 2 / (4 * blend_mm)
    return lower


def intersection(a: Field, b: Field, blend_mm: float = 0.0) -> Field:
    """Intersection of two shapes; corners are rounded over ``blend_mm``."""
    return -union(-a, -b, blend_mm)


def paint(canvas: Field, distance: Field, value: Field | float, width_mm: Field | float) -> None:
    """Paint the shape in ``value`` over ``canvas``, in place, with an edge ``width_mm`` wide."""
    cover = np.clip(0.5 - distance / width_mm, 0, 1)
    canvas += cover * (value - canvas)


def darken_edge(canvas: Field, distance: Field, depth: Field | float, width_mm: float) -> None:
    """Multiply ``canvas``, in place, by ``1 - depth`` on the edge of the shape.

    In steady-state imaging, fat and water in one pixel cancel, so organs have dark outlines.
    """
    canvas *= 1 - depth * np.exp(-((distance / width_mm) ** 2))


def smooth_noise(
    generator: np.random.Generator, shape: tuple[int, ...], sigma: float, axes: tuple[int, ...]
) -> Field:
    """Normal noise blurred by ``sigma`` samples along ``axes``, periodic, of unit variance.

    The blur is a product of spectra: the transform of a Gaussian is ``exp(-2 (π σ f)²)``.
    """
    noise = generator.standard_normal(shape, dtype=np.float32)
    spectrum = np.fft.fftn(noise, axes=axes)
    for axis in axes:
        gain = np.exp(-2 * (np.pi * sigma * np.fft.fftfreq(shape[axis])) ** 2)
        spectrum *= gain.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    noise = np.fft.ifftn(spectrum, axes=axes).real.astype(np.float32)
    field: Field = noise / max(float(noise.std()), 1e-6)
    return field
