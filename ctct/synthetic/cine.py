"""The synthetic cine: a beating heart in a trunk, imaged, with its labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctct.errors import ConfigError
from ctct.io.study import Study
from ctct.synthetic.appearance import draw_texture, paint_heart
from ctct.synthetic.body import paint_body
from ctct.synthetic.heart import STACK_MM, Grid, draw_heart, label_map, outlines
from ctct.synthetic.mri import acquire, coil_gain, draw_contrast
from ctct.synthetic.shapes import Field

SIZE = (256, 216)  # rows, columns
SPACING_MM = 1.4
#: Only pixels within this distance of the LV axis are repainted in every frame.
REACH_MM = 105.0


def synthetic_cine(
    seed: int = 0, frames: int = 20, slices: int = 10
) -> tuple[Study, npt.NDArray[np.uint8]]:
    """Make a short-axis cine of a healthy adult, and its true labels.

    The stack runs from below the mitral valve to just beyond the apex, 87 mm; fewer slices lie
    farther apart, and the volumes stay the same. Frame 0 is ED; the frames divide one cycle evenly,
    with ES at 35 % of it. The image is in radiological orientation: the RV is on the left.

    Args:
        seed: chooses the person and the noise; the same seed gives the same arrays.
        frames: T, phases of the cycle.
        slices: Z, from base (0) to apex.

    Returns:
        The study, voxels (T, Z, H, W), and labels (T, Z, H, W) in ACDC order: RV 1, MYO 2, LV 3.

    Raises:
        ConfigError: a number is out of range.
    """
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}")
    for name, value, low, high in (("frames", frames, 1, 500), ("slices", slices, 2, 100)):
        if not low <= value <= high:
            raise ConfigError(f"{name} must be {low} to {high}, got {value}")
    generator = np.random.default_rng(seed)
    heart, contrast = draw_heart(generator), draw_contrast(generator)
    slice_spacing_mm = (STACK_MM[1] - STACK_MM[0]) / slices
    grid = _grid(slices, slice_spacing_mm)
    trunk = paint_body(generator, heart, contrast, grid)
    gain = coil_gain(generator, grid.x_mm[0], grid.y_mm[0], heart.rv_angle)
    noise = float(generator.uniform(0.02, 0.035))

    region = _heart_region(heart.center_mm)
    heart_grid = Grid(grid.x_mm[region], grid.y_mm[region], grid.z_mm)
    texture = draw_texture(generator, trunk[region].shape)
    voxels = np.empty((frames, *trunk.shape), np.float32)
    labels = np.zeros(voxels.shape, np.uint8)
    for frame in range(frames):
        phase = frame / frames
        shape = outlines(heart, phase, heart_grid)
        signal = trunk.copy()
        paint_heart(signal[region], heart, contrast, heart_grid, shape, phase, texture)
        voxels[frame] = acquire(generator, signal * gain, noise)
        labels[frame][region] = label_map(shape)
    study = Study(
        name=f"synthetic_{seed}",
        voxels=voxels,
        spacing_mm=(SPACING_MM, SPACING_MM),
        slice_spacing_mm=slice_spacing_mm,
        affine=_affine(slices, slice_spacing_mm),
    )
    return study, labels


def _grid(slices: int, slice_spacing_mm: float) -> Grid:
    """Positions of the pixels; each slice lies in the middle of its part of the stack."""

    def offsets_mm(n: int) -> Field:
        offsets: Field = ((np.arange(n) - (n - 1) / 2) * SPACING_MM).astype(np.float32)
        return offsets

    z = STACK_MM[0] + (np.arange(slices) + 0.5) * slice_spacing_mm
    y, x = np.meshgrid(offsets_mm(SIZE[0]), offsets_mm(SIZE[1]), indexing="ij")
    return Grid(x[None], y[None], z.astype(np.float32)[:, None, None])


def _heart_region(center_mm: tuple[float, float]) -> tuple[slice, slice, slice]:
    """Index (slices, rows, columns) of the pixels that the heart may cover in some frame."""
    x, y = center_mm
    spans = [slice(None)]
    for n, center in ((SIZE[0], y), (SIZE[1], x)):
        middle = center / SPACING_MM + (n - 1) / 2
        reach = REACH_MM / SPACING_MM
        spans.append(slice(max(int(middle - reach), 0), min(int(middle + reach) + 1, n)))
    return spans[0], spans[1], spans[2]


def _affine(slices: int, slice_spacing_mm: float) -> npt.NDArray[np.float64]:
    """(column, row, slice) to RAS+ mm, centered: columns run left, rows back, slices down."""
    affine = np.diag([-SPACING_MM, -SPACING_MM, -slice_spacing_mm, 1.0])
    middle = (np.array([SIZE[1], SIZE[0], slices]) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ middle
    return affine
