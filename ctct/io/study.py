"""A study: the voxels of one short-axis acquisition and what is needed to write its labels back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError

#: In-plane spacing outside this range comes from a damaged header, not from a cardiac scan.
IN_PLANE_MM = (0.2, 5.0)
SLICE_MM = (0.2, 50.0)
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class LabelEncoder(Protocol):
    """Encodes label maps in the geometry of the file that a study was read from."""

    def encode_labels(self, labels: npt.NDArray[np.uint8]) -> bytes:
        """The content of a label file for ``labels`` (T, Z, H, W)."""
        ...


@dataclass(frozen=True, eq=False)
class Study:
    """Voxels of a short-axis acquisition.

    Attributes:
        name: name of the case, the stem of every file written for it.
        voxels: (T, Z, H, W) float32, raw intensities; T is 1 for a single frame.
        spacing_mm: (row, column) distance between neighboring pixels of a slice.
        slice_spacing_mm: distance between the centers of neighboring slices; NaN for a single 2-D
            image, whose header does not give it.
        affine: (4, 4), voxel index (column, row, slice) to millimeters (RAS+); one without rotation
            where left out.
        path: the file it was read from.
        label_encoder: encodes label maps in the geometry of that file; None for a study made in
            memory.
        notes: what was irregular about the file and could still be used, one sentence each. Each
            becomes a flag in all results, so the verdict is not "ok".

    Raises:
        InputError: the array is not 4-D or is empty, or a spacing is out of range.
    """

    name: str
    voxels: npt.NDArray[np.float32]
    spacing_mm: tuple[float, float]
    slice_spacing_mm: float
    affine: npt.NDArray[np.float64] = None  # type: ignore[assignment]  # made in __post_init__
    path: Path | None = None
    label_encoder: LabelEncoder | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = self.path or self.name
        if not isinstance(self.voxels, np.ndarray) or self.voxels.dtype.kind not in "iuf":
            kind = getattr(self.voxels, "dtype", type(self.voxels).__name__)
            raise InputError(f"{where}: voxels are {kind}; give an array of integers or floats")
        if self.voxels.ndim != 4 or 0 in self.voxels.shape:
            raise InputError(
                f"{where}: voxels must be (frames, slices, rows, columns), got {self.voxels.shape}"
            )
        low, high = IN_PLANE_MM
        if not all(low <= s <= high for s in self.spacing_mm):
            raise InputError(
                f"{where}: pixel spacing is {_format_mm(*self.spacing_mm)}, expected {low:g} to "
                f"{high:g} mm; correct the voxel size, or its unit, in the header"
            )
        low, high = SLICE_MM
        if self.slices > 1 and not low <= self.slice_spacing_mm <= high:
            raise InputError(
                f"{where}: slice spacing is {_format_mm(self.slice_spacing_mm)}, expected {low:g} "
                f"to {high:g} mm; correct the voxel size, or its unit, in the header; a time "
                "series saved as slices must have the axes column, row, slice, frame"
            )
        if self.affine is not None and (
            np.shape(self.affine) != (4, 4) or not np.isfinite(self.affine).all()
        ):
            raise InputError(f"{where}: the affine must be 4 × 4 finite numbers")
        if self.affine is None:
            sizes_mm = (*self.spacing_mm[::-1], self.slice_spacing_mm)
            affine = np.diag([1.0 if np.isnan(mm) else mm for mm in sizes_mm] + [1.0])
            object.__setattr__(self, "affine", affine)

    @classmethod
    def from_array(
        cls,
        array: npt.NDArray[Any],
        spacing_mm: Sequence[float] | None,
        name: str = "study",
        affine: npt.NDArray[np.float64] | None = None,
    ) -> Study:
        """A study from an array of raw intensities.

        Args:
            array: (T, Z, H, W), (Z, H, W) or (H, W); integers or floats. It is copied.
            spacing_mm: distance between slices, rows and columns, as in (8.0, 1.4, 1.4); for a
                single (H, W) slice also (row, column).
            name: name of the study in results.
            affine: (4, 4), voxel index (column, row, slice) to millimeters (RAS+).

        Raises:
            InputError: the array or the spacing cannot be those of a scan.

        >>> import numpy, ctct
        >>> ctct.Study.from_array(numpy.ones((10, 64, 64)), (8.0, 1.4, 1.4)).voxels.shape
        (1, 10, 64, 64)
        """
        if isinstance(array, np.ma.MaskedArray):
            raise InputError(f"{name}: a masked array; fill its mask first, with .filled(value)")
        if not isinstance(array, np.ndarray):
            raise InputError(f"{name}: got {type(array).__name__}; give a NumPy array")
        if array.dtype.kind not in "iuf":
            raise InputError(
                f"{name}: the array holds {array.dtype}; give raw intensities, integers or floats"
            )
        if not 2 <= array.ndim <= 4:
            raise InputError(
                f"{name}: got an array of shape {array.shape}; expected 2 to 4 dimensions: "
                "(frames, slices, rows, columns), (slices, rows, columns) or (rows, columns)"
            )
        if not array.size:
            raise InputError(f"{name}: the array is empty, its shape is {array.shape}")
        slice_mm, row_mm, column_mm = _check_spacing(spacing_mm, array.ndim, name)
        with np.errstate(over="ignore"):
            voxels = np.array(array[(None,) * (4 - array.ndim)], np.float32)  # a copy
        if np.isinf(voxels).any() and not np.isinf(array).any():
            raise InputError(f"{name}: intensities exceed {_FLOAT32_MAX:.0e}; scale them first")
        return cls(name, voxels, (row_mm, column_mm), slice_mm, affine)  # type: ignore[arg-type]

    def renamed(self, name: str) -> Study:
        """The same study under another name; its voxels are not copied."""
        return replace(self, name=name)

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


def _check_spacing(
    spacing_mm: Sequence[float] | None, dimensions: int, name: str
) -> tuple[float, float, float]:
    """Slice, row and column spacing; that of slices is NaN where a single slice goes without."""
    expected = "spacing_mm must be 3 numbers, slice, row and column spacing, as in (8.0, 1.4, 1.4)"
    if spacing_mm is None:
        raise InputError(f"{name}: an array has no voxel size; {expected}")
    if isinstance(spacing_mm, str | bytes | Mapping | Set):
        raise InputError(f"{name}: spacing_mm is {spacing_mm!r}; {expected}")
    try:
        numbers = tuple(map(float, spacing_mm))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: spacing_mm is {spacing_mm!r}; {expected}") from error
    if dimensions == 2 and len(numbers) == 2:
        numbers = (float("nan"), *numbers)
    if len(numbers) != 3:
        raise InputError(f"{name}: spacing_mm is {spacing_mm!r}; {expected}")
    for what, mm, (low, high) in zip(
        ("slice", "row", "column"), numbers, (SLICE_MM, IN_PLANE_MM, IN_PLANE_MM), strict=True
    ):
        unknown = what == "slice" and dimensions == 2 and np.isnan(mm)
        if not (unknown or low <= mm <= high):
            raise InputError(
                f"{name}: {what} spacing is {mm:g} mm, expected {low:g} to {high:g} mm; {expected}"
            )
    return numbers[0], numbers[1], numbers[2]


def _format_mm(*values: float) -> str:
    return " × ".join(f"{v:g}" for v in values) + " mm"
