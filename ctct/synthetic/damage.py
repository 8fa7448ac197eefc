"""Scans damaged on purpose, with their labels, to test whether the quality flags notice.

A damage takes a study with voxels (T, Z, H, W), its labels and a generator, and returns a damaged
study with the labels that belong to it. The originals are not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ctct.io.study import Study

LabelMap = npt.NDArray[np.uint8]
Damage = Callable[[Study, LabelMap, np.random.Generator], tuple[Study, LabelMap]]


def add_noise(level: float) -> Damage:
    """Rician noise (Gudbjartsson, MRM 34:910, 1995) of ``level`` times the 99th percentile."""

    def apply(
        study: Study, labels: LabelMap, generator: np.random.Generator
    ) -> tuple[Study, LabelMap]:
        sigma = level * float(np.percentile(study.voxels, 99))
        real, imaginary = sigma * generator.standard_normal((2, *study.voxels.shape), np.float32)
        return replace(study, voxels=np.hypot(study.voxels + real, imaginary)), labels

    return apply


def add_ghosts(level: float, ghosts: int = 3) -> Damage:
    """Shifted copies along axis H, as from motion between phase-encoding steps.

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


def drop_every_other_slice(
    study: Study, labels: LabelMap, generator: np.random.Generator
) -> tuple[Study, LabelMap]:
    """Every other slice is missing, and the header still gives the old slice spacing."""
    first = int(generator.integers(2))
    return replace(study, voxels=study.voxels[:, first::2].copy()), labels[:, first::2]


def drop_base_and_apex(
    study: Study, labels: LabelMap, generator: np.random.Generator
) -> tuple[Study, LabelMap]:
    """The upper and the lower quarter of the stack are missing."""
    quarter = study.slices // 4
    middle = slice(quarter, study.slices - quarter)
    return replace(study, voxels=study.voxels[:, middle].copy()), labels[:, middle]


def scale_spacing(factor: float) -> Damage:
    """The header gives ``factor`` times the in-plane spacing."""

    def apply(
        study: Study, labels: LabelMap, generator: np.random.Generator
    ) -> tuple[Study, LabelMap]:
        row, column = study.spacing_mm
        return replace(study, spacing_mm=(row * factor, column * factor)), labels

    return apply


def crop_heart(share: float) -> Damage:
    """The field of view lacks ``share`` of the heart's width, on a random side."""

    def apply(
        study: Study, labels: LabelMap, generator: np.random.Generator
    ) -> tuple[Study, LabelMap]:
        columns = np.flatnonzero(labels.any(axis=(0, 1, 2)))
        first, last = int(columns[0]), int(columns[-1])
        width = round(share * (last - first))
        visible = slice(first + width, None) if generator.integers(2) else slice(None, last - width)
        return replace(study, voxels=study.voxels[..., visible].copy()), labels[..., visible].copy()

    return apply


#: All damages by name, from none to what no reader would accept.
DAMAGES: Mapping[str, Damage] = {
    "none": lambda study, labels, generator: (study, labels),
    "noise 0.1": add_noise(0.1),
    "noise 0.25": add_noise(0.25),
    "noise 0.5": add_noise(0.5),
    "ghosting 0.3": add_ghosts(0.3),
    "ghosting 0.7": add_ghosts(0.7),
    "every other slice": drop_every_other_slice,
    "base and apex lost": drop_base_and_apex,
    "spacing x 0.5": scale_spacing(0.5),
    "spacing x 1.8": scale_spacing(1.8),
    "cropped by 0.3": crop_heart(0.3),
    "cropped by 0.6": crop_heart(0.6),
}
