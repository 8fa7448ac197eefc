"""Slices of many volumes on the device, sampled in augmented batches onto the networks' grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ctct.datasets.collection import Volume
from ctct.errors import InputError
from ctct.labels import CLASSES, STRUCTURES
from ctct.measurement.heart_box import HeartBox
from ctct.models.grid import NetworkGrid, centered_coordinates


class Heart(NamedTuple):
    """Where a patient's heart lies in all slices, and its size.

    Attributes:
        row_mm: of its middle, from the center of the slices.
        column_mm: likewise.
        extent_mm: the longer side of the box around it.
    """

    row_mm: float
    column_mm: float
    extent_mm: float

    @classmethod
    def around(cls, boxes_mm: Sequence[npt.NDArray[np.float64]]) -> Heart:
        """The heart in the smallest box around all ``boxes_mm``, each as of ``edges_mm``."""
        first, last = np.min(boxes_mm, (0, 1)), np.max(boxes_mm, (0, 1))
        row, column = ((first + last) / 2).tolist()
        return cls(row, column, float((last - first).max()))


class SliceSet:
    """All slices of some volumes, at native resolution, as one flat tensor on the device.

    Slices differ in size, so they lie end to end in one tensor of bytes; a batch reads the four
    neighbors of each of its pixels from there. Nothing is padded, nothing is copied from the host,
    and each slice is interpolated once.

    Args:
        volumes: all with labels or all without.
        device: of the slices.
    """

    def __init__(self, volumes: Sequence[Volume], device: torch.device | str = "cpu") -> None:
        if not volumes:
            raise InputError("no volume to take slices from")
        sizes = [v.voxels.shape[1:] for v in volumes for _ in v.voxels]
        spacings = [v.spacing_mm for v in volumes for _ in v.voxels]
        self.names = [f"{v.name} slice {z}" for v in volumes for z in range(len(v.voxels))]
        self.size = torch.tensor(sizes, device=device)  # (slices, 2)
        self.spacing_mm = torch.tensor(spacings, dtype=torch.float32, device=device)
        areas = torch.tensor([h * w for h, w in sizes])
        self.patients = [v.patient for v in volumes for _ in v.voxels]
        ends = accumulate(len(v.voxels) for v in volumes)
        #: Numbers of the slices of each volume.
        self.volumes = [range(n - len(v.voxels), n) for n, v in zip(ends, volumes, strict=True)]
        self.offset = (areas.cumsum(0) - areas).to(device)  # (slices,)
        self.waiting = self.offset[:0]  # numbers of slices still to be drawn
        #: Hearts that the networks found; None before they searched.
        self.found_hearts: dict[str, Heart] | None = None
        self.labelled_hearts = labelled_hearts(volumes)
        #: Patients whose labels do not tell where the heart lies.
        self.to_search = incompletely_labelled(volumes)
        self.center_mm = torch.zeros(len(self), 2, device=device)  # of the hearts
        self.extent_mm = torch.full((len(self),), torch.nan, device=device)  # likewise
        self.voxels = _flat([v.voxels for v in volumes], device)
        labels = [v.labels for v in volumes if v.labels is not None]
        self.labels = _flat(labels, device) if len(labels) == len(volumes) else None
        unknown = [
            [False, *(s not in v.known for s in STRUCTURES)] for v in volumes for _ in v.voxels
        ]
        #: (slices, C) true for classes that the labels do not tell from the background.
        self.unknown = torch.tensor(unknown, device=device)
        self._place_hearts(self.labelled_hearts)

    def set_hearts(self, found: Mapping[str, Heart]) -> None:
        """Take the hearts that the networks found in patients without complete labels.

        That of one who is left out is taken to lie at the middle of the partial labels, or at the
        center of the slice; its size is not known.
        """
        self.found_hearts = {p: heart for p, heart in found.items() if p in self.to_search}
        self._place_hearts(self.labelled_hearts | self.found_hearts)

    def _place_hearts(self, hearts: Mapping[str, Heart]) -> None:
        unknown = Heart(0.0, 0.0, math.nan)
        values = [hearts.get(patient, unknown) for patient in self.patients]
        known = torch.tensor(values, device=self.offset.device)  # (slices, 3)
        self.center_mm, self.extent_mm = known[:, :2], known[:, 2]

    def __len__(self) -> int:
        return len(self.names)

    def field_mm(self, numbers: Tensor, grid: NetworkGrid) -> Tensor:
        """(N, 2) rows and columns of slices on ``grid``, in mm."""
        size = self.size[numbers]
        return size * grid.slice_spacing_mm(size, self.spacing_mm[numbers])

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """(n,) slice numbers: every slice once, in random order, before any comes again."""
        while len(self.waiting) < n:
            order = torch.randperm(len(self), generator=generator, device=self.offset.device)
            self.waiting = torch.cat((self.waiting, order))
        drawn, self.waiting = self.waiting[:n], self.waiting[n:]
        return drawn

    def sample(
        self, numbers: Tensor, grid: NetworkGrid, transform: Tensor, nearest: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Slices interpolated bilinearly onto the grid; zero outside the slice.

        Args:
            numbers: (N,) numbers of the slices.
            grid: of S pixels per side.
            transform: (N, 2, 3) affines as in :func:`~ctct.models.grid.centered_coordinates`.
            nearest: take the nearest pixel instead.

        Returns:
            Intensities (N, 1, S, S) and labels (N, S, S), each the class with the largest
            interpolated share; None if the set has no labels.
        """
        size = self.size[numbers]
        spacing = grid.slice_spacing_mm(size, self.spacing_mm[numbers])
        coordinates = centered_coordinates(
            (grid.size, grid.size),
            torch.full_like(spacing, grid.spacing_mm),
            size,
            spacing,
            transform,
        )  # (N, S, S, 2), -1…1 in (x, y) order
        height, width = (size[:, k, None, None] for k in range(2))
        row = ((coordinates[..., 1] + 1) * height - 1) / 2
        column = ((coordinates[..., 0] + 1) * width - 1) / 2
        if nearest:
            row, column = row.round(), column.round()
        offset = self.offset[numbers][:, None, None]

        images = torch.zeros_like(row)
        shares = torch.zeros(len(CLASSES), *row.shape, device=row.device)
        for r in (row.floor(), row.floor() + 1):
            for c in (column.floor(), column.floor() + 1):
                inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
                weight = (1 - (row - r).abs()) * (1 - (column - c).abs()) * inside
                where = offset + torch.where(inside, r * width + c, 0).long()
                images += weight * self.voxels[where]
                if self.labels is not None:
                    labels = self.labels[where]
                    for value in range(1, len(CLASSES)):
                        shares[value] += weight * (labels == value)
        if self.labels is None:
            return images[:, None], None
        shares[0] = 1 - shares[1:].sum(0)
        return images[:, None], shares.argmax(0)


def labelled_hearts(volumes: Sequence[Volume]) -> dict[str, Heart]:
    """Each patient's heart: the box around all labels; patients without any are left out.

    Its size is not known (NaN) where no label shows one of the structures.
    """
    partial = incompletely_labelled(volumes)
    boxes: dict[str, list[npt.NDArray[np.float64]]] = {}
    for volume in volumes:
        if volume.labels is None or not volume.labels.any():
            continue
        heart: npt.NDArray[np.bool_] = np.any(volume.labels, axis=0)
        edges_mm = HeartBox.around(heart).edges_mm(heart.shape, volume.spacing_mm)
        boxes.setdefault(volume.patient, []).append(edges_mm)
    hearts = {patient: Heart.around(boxes_mm) for patient, boxes_mm in boxes.items()}
    return {p: h._replace(extent_mm=math.nan) if p in partial else h for p, h in hearts.items()}


def incompletely_labelled(volumes: Sequence[Volume]) -> set[str]:
    """Patients of whom a structure is known in no volume."""
    known: dict[str, set[str]] = {volume.patient: set() for volume in volumes}
    for volume in volumes:
        if volume.labels is not None:
            known[volume.patient].update(volume.known)
    return {patient for patient, structures in known.items() if len(structures) < len(STRUCTURES)}


def _flat(stacks: Sequence[np.ndarray], device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.concatenate([s.reshape(-1) for s in stacks])).to(device)
