"""End-diastole and end-systole from the volume of the left ventricle over the cardiac cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Harmonics of the heart rate in the smoothed curve: what lies above them is noise.
HARMONICS = 4
#: With fewer frames the curve is not smoothed, and tells too little of the cycle.
MIN_FRAMES = 8

#: Smallest fall from ED to ES, as a share of the ED volume.
_MIN_FALL = 0.10
#: Smallest depth of a second minimum that counts, as a share of the curve's range.
_MIN_DEPTH = 0.25
#: Largest step from the last frame to the first, as a share of the range.
_MAX_STEP = 0.5
#: A curve with a smaller range, as a share of its maximum, is constant.
_ROUNDING = 1e-9
#: Largest root mean square distance from the smooth curve, as a share of the range.
_MAX_DEVIATION = 0.10


@dataclass(frozen=True)
class Phases:
    """ED and ES of a cycle.

    Attributes:
        ed: number of the end-diastolic frame, from 0.
        es: number of the end-systolic frame, likewise.
        smooth_ml: the smoothed volume of each frame.
        warnings: why the curve is not that of a beating ventricle, a sentence each.
    """

    ed: int
    es: int
    smooth_ml: tuple[float, ...]
    warnings: tuple[str, ...]


def find_phases(volume_ml: Sequence[float]) -> Phases:
    """ED at the largest and ES at the smallest value of the smoothed curve.

    Frames count as evenly spread over one cycle. A frame without a left ventricle, among others
    that have one, is a failed frame and not ES: it is left out.

    Args:
        volume_ml: LV volume of each frame, at least two; NaN where it is not known.
    """
    volumes = np.asarray(volume_ml, float)
    known = np.isfinite(volumes) & (volumes > 0)
    if not known.any():
        return Phases(0, 0, tuple(volumes), ())
    curve = np.where(known, volumes, np.nan)
    smooth = smooth_cycle(curve) if known.sum() >= MIN_FRAMES else curve
    chosen = np.where(known, smooth, np.nan)
    ed, es = int(np.nanargmax(chosen)), int(np.nanargmin(chosen))
    return Phases(ed, es, tuple(map(float, smooth)), tuple(_warnings(curve, smooth)))


def smooth_cycle(curve: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Least-squares Fourier series of a periodic curve, through the values that are known.

    Args:
        curve: (T,), a whole cycle, NaN where a value is missing.

    Returns:
        (T,), without a gap.
    """
    known = np.isfinite(curve)
    angle = 2 * np.pi * np.arange(len(curve)) / len(curve)
    orders = np.arange(1, min(HARMONICS, int(known.sum()) // 4) + 1)
    waves = angle[:, None] * orders
    basis = np.hstack([np.ones((len(curve), 1)), np.cos(waves), np.sin(waves)])  # (T, 1 + 2·orders)
    weights = np.linalg.lstsq(basis[known], curve[known], rcond=None)[0]
    fitted: npt.NDArray[np.float64] = basis @ weights
    return fitted


def _warnings(curve: npt.NDArray[np.float64], smooth: npt.NDArray[np.float64]) -> list[str]:
    known = np.isfinite(curve)
    warnings = []
    if not known.all():
        warnings.append(f"{np.count_nonzero(~known)} of {len(curve)} frames hold no left ventricle")
    highest = float(np.nanmax(smooth))
    span = highest - float(np.nanmin(smooth))
    if span < _MIN_FALL * highest:
        warnings.append(f"the left ventricle hardly contracts, by {100 * span / highest:.0f} %")
    if known.sum() < MIN_FRAMES or span <= _ROUNDING * highest:
        return warnings
    minima = sum(depth >= _MIN_DEPTH * span for depth in minimum_depths(smooth))
    if minima > 1:
        warnings.append(f"the LV volume has {minima} minima in one cycle")
    step = abs(curve[known][-1] - curve[known][0])
    if step > _MAX_STEP * span:
        warnings.append(f"the LV volume jumps by {step:.0f} mL from the last frame to the first")
    deviation = float(np.sqrt(np.mean((curve - smooth)[known] ** 2)))
    if deviation > _MAX_DEVIATION * span:
        warnings.append(f"the LV volume is unsteady, {deviation:.0f} mL around its smooth curve")
    return warnings


def minimum_depths(cycle: npt.NDArray[np.float64]) -> list[float]:
    """How far one must climb out of each local minimum of a periodic curve to get to a lower one.

    The depth of the lowest is the range of the curve (a minimum's topographic prominence).
    """
    count = len(cycle)
    depths = []
    for at, value in enumerate(cycle):
        if not cycle[at - 1] > value <= cycle[(at + 1) % count]:
            continue
        climbs = []
        for direction in (-1, 1):
            path = [float(cycle[(at + direction * k) % count]) for k in range(1, count)]
            lower = next((k for k, other in enumerate(path) if other < value), len(path))
            climbs.append(max(path[:lower], default=float(value)) - float(value))
        depths.append(min(climbs))
    return depths
