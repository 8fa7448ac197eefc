"""Weights and rates as functions of the progress of a run, 0…1."""

from __future__ import annotations

import math


def ramp_up(progress: float) -> float:
    """Gaussian ramp-up ``exp(-5 (1 - t)²)`` from 0.0067 to 1 (Laine and Aila, ICLR 2017)."""
    return math.exp(-5 * (1 - min(max(progress, 0.0), 1.0)) ** 2)


def warm_cosine(progress: float, warm: float = 0.03) -> float:
    """Linear from 0 to 1 over the first ``warm`` of training, then half a cosine down to 0."""
    if progress < warm:
        return progress / warm
    return 0.5 * (1 + math.cos(math.pi * min((progress - warm) / (1 - warm), 1.0)))


def polynomial(progress: float, power: float = 0.9) -> float:
    """From 1 down to 0 as ``(1 - t)^power`` (Chen et al., DeepLab, 2017)."""
    return float((1 - min(progress, 1.0)) ** power)


SCHEDULES = {"cosine": warm_cosine, "poly": polynomial}
