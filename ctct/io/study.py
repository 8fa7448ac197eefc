"""A study: the voxels of one short-axis acquisition and what is needed to write its labels back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError

#: In-plane spacing outside this range comes from a damaged header, not from a cardiac scan.
IN_PLANE_MM = (0.2, 5.0)
SLICE_MM = (0.2, 50.0)


class LabelEncoder(Protocol):
    """Encodes label maps in the geometry of the file that a study was read from."""

    def encode_labels(self, labels: npt.NDArray[np.uint8]) -> bytes:
        """The content of a label file for ``labels`` (T, Z, H, W)."""
        ...


@dataclass(frozen=True)
class Study:
    """Voxels of a short-axis acquisition.

    Attributes:
        name: name of the case, the stem of every file written for it.
        voxels: (T, Z, H, W) float32, raw intensities; T is 1 for a single frame.
        spacing_mm: (row, column) distance between neighboring pixels of a slice.
        slice_spacing_mm: distance between the centers of neighboring slices; NaN for a single 2-D
            image, whose header does not give it.
        affine: (4, 4), voxel index (column, row, slice) to millimeters (RAS+).
        path: the file it was read from.
        label_encoder: encodes label maps in the geometry of that file; None for a study made in
            memory.
        notes: what was irregular about the file and could still be used, one sentence each.

    Raises:
        InputError: the array is not 4-D or is empty, or a spacing is out of range.
    """

    name: str
    voxels: npt.NDArray[np.float32]
    spacing_mm: tuple[float, float]
    slice_spacing_mm: float
    affine: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    path: Path | None = None
    label_encoder: LabelEncoder | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = self.path or self.name
        if self.voxels.ndim != 4 or 0 in self.voxels.shape:
            raise InputError(
                f"{where}: voxels must be (frames, slices, rows, columns), got {self.voxels.shape}"
            )
        low, high = IN_PLANE_MM
        if not all(low <= s <= high for s in self.spacing_mm):
            raise InputError(
                f"{where}: pixel spacing is {_format_mm(*self.spacing_mm)}, expected {low:g} to "
                f"{high:g} mm; correct pixdim and the affine in the header"
            )
        low, high = SLICE_MM
        if self.slices > 1 and not low <= self.slice_spacing_mm <= high:
            raise InputError(
                f"{where}: slice spacing is {_format_mm(self.slice_spacing_mm)}, expected {low:g} "
                f"to {high:g} mm; correct pixdim and the affine in the header"
            )

    @property
    def frames(self) -> int:
        """Number of cardiac phases, T."""
        return int(self.voxels.shape[0])

    @property
    def slices(self) -> int:
        """Number of slices, Z."""
        return int(self.voxels.shape[1])

    def as_batch(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """All slices, frame after frame, in the form that the networks take.

        Returns:
            Intensities (T·Z, 1, H, W), a view of ``voxels``, and (T·Z, 2) row and column spacing.
        """
        slices = self.voxels.reshape(-1, 1, *self.voxels.shape[2:])
        return slices, np.tile(np.array(self.spacing_mm, np.float32), (len(slices), 1))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in milliliters; NaN where the slice spacing is unknown."""
        return self.spacing_mm[0] * self.spacing_mm[1] * self.slice_spacing_mm / 1000


def _format_mm(*values: float) -> str:
    return " × ".join(f"{v:g}" for v in values) + " mm"
