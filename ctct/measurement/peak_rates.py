"""Peak ejection and filling rate of both ventricles, where the heart rate is known.

The frames count as evenly spread over one cycle, as everywhere else; the rate is the slope of the
smoothed volume curve between the two neighbors of a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ctct.labels import LV, RV
from ctct.measurement.phases import MIN_FRAMES, smooth_cycle
from ctct.measurement.volumes import Measurements

EJECTION, FILLING = "ejection", "filling"


class PeakRate(NamedTuple):
    """The steepest fall or rise of a volume curve.

    Attributes:
        ventricle: LV or RV.
        kind: "ejection" or "filling".
        frame: number of the frame.
        ml_per_s: the rate, above 0.
    """

    ventricle: str
    kind: str
    frame: int
    ml_per_s: float


def find_peak_rates(measurements: Measurements) -> list[PeakRate]:
    """The peak rates of LV and RV; none of a few frames, or without the heart rate."""
    frame_ms = measurements.frame_ms
    if frame_ms is None or len(measurements.frames) < MIN_FRAMES:
        return []
    found = []
    for ventricle in (LV, RV):
        curve = np.array([frame.volume_ml[ventricle] for frame in measurements.frames])
        known = np.isfinite(curve) & (curve > 0)
        if known.sum() < MIN_FRAMES:
            continue
        smooth = smooth_cycle(np.where(known, curve, np.nan))
        slope = (np.roll(smooth, -1) - np.roll(smooth, 1)) / (2 * frame_ms / 1000)
        for kind, rate in ((EJECTION, -slope), (FILLING, slope)):
            frame = int(rate.argmax())
            found.append(PeakRate(ventricle, kind, frame, float(rate[frame])))
    return found


def peak_rate_indices(measurements: Measurements) -> Mapping[str, float]:
    """The peak rates by name, with their unit."""
    return {
        f"{rate.ventricle} peak {rate.kind} (mL/s)": rate.ml_per_s
        for rate in find_peak_rates(measurements)
    }
