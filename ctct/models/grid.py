"""The one sampling rule: between a slice as acquired and the fixed grid the networks see.

Both grids are centered on the same point, so a pixel is known by its offset in millimeters from the
center. Output pixel ``i`` of ``n`` at spacing ``s`` lies at ``(i - (n - 1) / 2) * s``; in the
coordinates of ``torch.nn.functional.grid_sample`` (``align_corners=False``, -1…1 over the whole
field of view of ``m`` input pixels at spacing ``t``) that is ``(2 i + 1 - n) * s / (m * t)``.
Swapping the two grids gives the way back, so this one formula serves training, inference
and export.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ctct.errors import ConfigError


@dataclass(frozen=True)
class NetworkGrid:
    """The square grid both networks work on, and the intensities on it.

    Attributes:
        size: pixels per side.
        spacing_mm: distance between neighboring pixels.
        stretch: whether every slice is stretched to the whole grid, whatever its size and spacing.
        intensities: a key of :data:`INTENSITIES`.
    """

    size: int = 160
    spacing_mm: float = 1.5
    stretch: bool = False
    intensities: str = "z_score"

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 32:
            raise ConfigError(f"grid size must be a multiple of 32, got {self.size}")
        if not 0.2 <= self.spacing_mm <= 5:
            raise ConfigError(f"grid spacing must be 0.2 to 5 mm, got {self.spacing_mm}")

    def slice_spacing_mm(self, size: tuple[int, int] | Tensor, spacing_mm: Tensor) -> Tensor:
        """The (N, 2) spacing at which slices are laid on the grid.

        Args:
            size: rows and columns of the slices; (N, 2) where they differ.
            spacing_mm: (N, 2) true row and column spacing.
        """
        if not self.stretch:
            return spacing_mm
        if not isinstance(size, Tensor):
            size = torch.tensor(size, device=spacing_mm.device, dtype=spacing_mm.dtype)
        return torch.ones_like(spacing_mm) * (self.size * self.spacing_mm / size)

    def normalize(self, images: Tensor) -> Tensor:
        """Images (N, 1, H, W) of any intensities as the networks see them."""
        return INTENSITIES[self.intensities](images)


@dataclass(frozen=True)
class HeartCrop:
    """A smaller grid of the same spacing, around the heart.

    Attributes:
        size: pixels per side.
        extent_mm: the longer side of every heart on it; 0 where hearts keep their true size.
    """

    size: int
    extent_mm: float = 0.0

    def describe(self, grid: NetworkGrid) -> dict[str, Any]:
        """The description in model files, beside that of the ``grid`` of whole slices."""
        return {**vars(grid), "size": self.size, "heart_extent_mm": self.extent_mm}


def centered_coordinates(
    out_size: tuple[int, int],
    out_spacing_mm: Tensor,
    in_size: tuple[int, int] | Tensor,
    in_spacing_mm: Tensor,
    transform: Tensor | None = None,
) -> Tensor:
    """Where each output pixel lies in the input, for ``grid_sample``.

    Args:
        out_size: rows and columns of the output.
        out_spacing_mm: (N, 2) row and column spacing of the output.
        in_size: rows and columns of the input; (N, 2) where they differ from slice to slice.
        in_spacing_mm: (N, 2) row and column spacing of the input.
        transform: (N, 2, 3) affine in millimeters about the center, (row, column) order, from
            output to input position; identity when left out.

    Returns:
        (N, rows, columns, 2) coordinates in (x, y) order, -1…1 over the input's field of view.
    """
    # torch.arange, not F.affine_grid: the latter freezes the size when the graph is exported.
    half_steps = [
        2 * torch.arange(n, device=out_spacing_mm.device, dtype=out_spacing_mm.dtype) + 1 - n
        for n in out_size
    ]
    rows_mm = half_steps[0][None, :, None] * out_spacing_mm[:, 0, None, None] / 2  # (N, rows, 1)
    columns_mm = half_steps[1][None, None, :] * out_spacing_mm[:, 1, None, None] / 2  # (N, 1, cols)
    if transform is not None:
        a = transform[:, :, :, None, None]  # (N, 2, 3, 1, 1)
        rows_mm, columns_mm = (
            a[:, k, 0] * rows_mm + a[:, k, 1] * columns_mm + a[:, k, 2] for k in range(2)
        )
    if not isinstance(in_size, Tensor):
        in_size = torch.tensor(in_size, device=in_spacing_mm.device, dtype=in_spacing_mm.dtype)
    extent_mm = in_spacing_mm * in_size
    y = 2 * rows_mm / extent_mm[:, 0, None, None]
    x = 2 * columns_mm / extent_mm[:, 1, None, None]
    shape = (out_spacing_mm.shape[0], *out_size)
    return torch.stack((x.expand(shape), y.expand(shape)), dim=-1)


def sample(
    images: Tensor,
    in_spacing_mm: Tensor,
    out_size: tuple[int, int],
    out_spacing_mm: Tensor,
    transform: Tensor | None = None,
) -> Tensor:
    """Resample images bilinearly between two centered grids; outside the input is zero.

    Args:
        images: (N, C, H, W).
        in_spacing_mm: (N, 2) row and column spacing of ``images``.
        out_size: rows and columns of the result.
        out_spacing_mm: (N, 2) spacing of the result.
        transform: as in :func:`centered_coordinates`.

    Returns:
        (N, C, rows, columns).
    """
    in_size = (images.shape[-2], images.shape[-1])
    coordinates = centered_coordinates(out_size, out_spacing_mm, in_size, in_spacing_mm, transform)
    return F.grid_sample(
        images, coordinates, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def z_score(images: Tensor, clip: float = 4.0) -> Tensor:
    """Zero mean and unit standard deviation per slice, clipped; constant slices give 0.

    Args:
        images: (N, 1, H, W), any intensity scale.
        clip: largest magnitude of the result.
    """
    # Scaling by the largest magnitude first keeps every sum finite, whatever the intensities, and
    # makes a constant slice exactly ±1, so that no rounding of its mean is blown up to contrast.
    images = images / images.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
    centered = images - images.mean(dim=(1, 2, 3), keepdim=True)
    deviation = centered.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return (centered / deviation.clamp_min(1e-6)).clamp(-clip, clip)


def unit_range(images: Tensor) -> Tensor:
    """Each slice from 0 to 1; constant slices give 0. Shapes as above."""
    images = images / images.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
    low = images.amin(dim=(1, 2, 3), keepdim=True)
    extent = images.amax(dim=(1, 2, 3), keepdim=True) - low
    return (images - low) / extent.clamp_min(1e-6)


#: How intensities are normalized, by name.
INTENSITIES = {"z_score": z_score, "unit_range": unit_range}
