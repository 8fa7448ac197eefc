"""Steady-state (bSSFP) contrast, and the effects of coil and receiver on an image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.synthetic.shapes import Field

#: Stored intensity of LV blood, about as scanners write it.
BLOOD_LEVEL = 800.0
#: Largest stored value; it fits signed 16-bit files.
MAX_LEVEL = 4095


@dataclass(frozen=True)
class Contrast:
    """Mean intensity of each tissue, relative to LV blood."""

    rv_blood: float
    myocardium: float
    fat: float
    muscle: float
    lung: float
    liver: float
    spleen: float
    lv_blood: float = 1.0


def draw_contrast(generator: np.random.Generator) -> Contrast:
    """Draw intensities as they vary between scanners and people."""

    def between(low: float, high: float) -> float:
        return float(generator.uniform(low, high))

    return Contrast(
        rv_blood=between(0.78, 0.92),
        myocardium=between(0.25, 0.33),
        fat=between(1.0, 1.2),
        muscle=between(0.17, 0.24),
        lung=between(0.05, 0.09),
        liver=between(0.2, 0.28),
        spleen=between(0.3, 0.4),
    )


def coil_gain(generator: np.random.Generator, x_mm: Field, y_mm: Field, toward: float) -> Field:
    """Receiver sensitivity: 1 at the center, falling off smoothly away from the coil on the chest.

    Args:
        generator: source of randomness.
        x_mm: position from the image center, right.
        y_mm: position from the image center, down.
        toward: direction of the chest wall in radians.
    """
    along = (math.cos(toward) * x_mm + math.sin(toward) * y_mm) / 100
    across = (math.sin(toward) * x_mm - math.cos(toward) * y_mm) / 100
    draws = generator.uniform((0.05, -0.1, -0.06), (0.25, 0.1, 0.02))
    slope, tilt, bend = (float(draw) for draw in draws)
    gain: Field = np.exp(slope * along + tilt * across + bend * (along**2 + across**2))
    return gain


def acquire(generator: np.random.Generator, signal: Field, noise: float) -> npt.NDArray[np.float32]:
    """Magnitude image with Rician noise, rounded to integers as scanners store them.

    Args:
        generator: source of randomness.
        signal: any shape, about 1 for LV blood.
        noise: standard deviation of either quadrature channel, in the same unit as ``signal``.
    """
    real, imaginary = noise * generator.standard_normal((2, *signal.shape), dtype=np.float32)
    magnitude = BLOOD_LEVEL * np.hypot(signal + real, imaginary)
    stored: npt.NDArray[np.float32] = np.minimum(np.rint(magnitude), MAX_LEVEL).astype(np.float32)
    return stored
