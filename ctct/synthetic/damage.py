"""Scans spoilt on purpose, with their manual labels, to see whether the quality flags notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ctct.io.study import Study

LabelMap = npt.NDArray[np.uint8]
Damage = Callable[[Study, LabelMap, np.random.Generator], tuple[Study, LabelMap]]


def noise(level: float) -> Damage:
    """Rician noise of ``level`` times the brightest percentile (Gudbjartsson, MRM 34:910, 1995)."""

    def apply(
        study: Study, labels: LabelMap, generator: np.random.Generator
    ) -> tuple[Study, LabelMap]:
        sigma = level * float(np.percentile(study.voxels, 99))
        real, imaginary = sigma * generator.standard_normal((2, *study.voxels.shape), np.float32)
        return replace(study, voxels=np.hypot(study.voxels + real, imaginary)), labels

    return apply


def ghosting(level: float, ghosts: int = 3) -> Damage:
    """Copies along the rows' axis, as motion between phase-encoding steps makes them.

    Every ``ghosts``-th line of k-space is multiplied by 1 - ``level``.
    """

    def apply(
        study: Study, labels: LabelMap, generator: np.random.Generator
    ) -> tuple[Study, LabelMap]:
        k_space = np.fft.fft(study.voxels, axis=-2)
        k_space[..., int(generator.integers(ghosts)) :: ghosts, :] *= 1 - level
        return replace(
            study, voxels=np.abs(np.fft.ifft(k_space, axis=-2)).astype(np.float32)
        ), labels

    return apply


def every_other_slice(
    study: Study, labels: LabelMap, generator: np.random.Generator
) -> tuple[Study, LabelMap]:
    """Slices lost, the header none the wiser."""
    first = int(generator.integers(2))
    return replace(study, voxels=study.voxels[:, first::2].copy()), labels[:, first::2]


def lost_base_and_apex(
    study: Study, labels: LabelMap, generator: np.random.Generator
) -> tuple[Study, LabelMap]:
    """Only the middle half of the stack is there."""
    quarter = study.slices // 4
    kept = slice(quarter, study.slices - quarter)
    return replace(study, voxels=study.voxels[:, kept].copy()), labels[:, kept]


def wrong_spacing(factor: float) -> Damage:
    """A header whose in-plane spacing is off by ``factor``."""

    def apply(
        study: Study, labels: LabelMap, generator: np.random.Generator
    ) -> tuple[Study, LabelMap]:
        row, column = study.spacing_mm
        return replace(study, spacing_mm=(row * factor, column * factor)), labels

    return apply


def cropped(share: float) -> Damage:
    """The field of view ends at ``share`` of the heart's width, from either side by chance."""

    def apply(
        study: Study, labels: LabelMap, generator: np.random.Generator
    ) -> tuple[Study, LabelMap]:
        columns = np.flatnonzero(labels.any(axis=(0, 1, 2)))
        first, last = int(columns[0]), int(columns[-1])
        width = round(share * (last - first))
        kept = slice(first + width, None) if generator.integers(2) else slice(None, last - width)
        return replace(study, voxels=study.voxels[..., kept].copy()), labels[..., kept].copy()

    return apply


#: What is done to each scan, from nothing to what no reader would accept.
DAMAGES: Mapping[str, Damage] = {
    "none": lambda study, labels, generator: (study, labels),
    "noise 0.1": noise(0.1),
    "noise 0.25": noise(0.25),
    "noise 0.5": noise(0.5),
    "ghosting 0.3": ghosting(0.3),
    "ghosting 0.7": ghosting(0.7),
    "every other slice": every_other_slice,
    "base and apex lost": lost_base_and_apex,
    "spacing x 0.5": wrong_spacing(0.5),
    "spacing x 1.8": wrong_spacing(1.8),
    "cropped by 0.3": cropped(0.3),
    "cropped by 0.6": cropped(0.6),
}
