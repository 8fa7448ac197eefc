"""The image of the heart: fat, walls, flowing blood, papillary muscles, trabeculae.

Labels follow the smooth outlines. The image adds details that annotators ignore, above all muscle
that protrudes into the blood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ctct.synthetic.heart import (
    Grid,
    Heart,
    Outlines,
    contraction,
    heart_frame,
    share_of_stack,
)
from ctct.synthetic.mri import Contrast
from ctct.synthetic.shapes import (
    Field,
    darken_edge,
    ellipse,
    intersection,
    paint,
    smooth_noise,
    union,
)

EDGE_MM = 1.8  # in-plane resolution
SLAB_MM = 6.0  # thickness of the excited slice
RV_WALL_MM = 2.8
_ANGLES = 360  # samples of a pattern around a cavity


@dataclass(frozen=True)
class Texture:
    """Patterns of one heart that stay the same or repeat during the cycle.

    Attributes:
        flow: (3, Z, H, W): constant, cosine and sine part of the brightness of blood.
        muscle: (Z, H, W) relative variation of muscle and fat.
        lv_trabeculae: (Z, 360) how far muscle protrudes into the LV, 0…1, by angle.
        rv_trabeculae: (Z, 360) the same for the RV, about its own center.
        fat_mm: (Z, 360) thickness of epicardial fat, by angle about the LV.
    """

    flow: Field
    muscle: Field
    lv_trabeculae: Field
    rv_trabeculae: Field
    fat_mm: Field


def draw_texture(generator: np.random.Generator, shape: tuple[int, ...]) -> Texture:
    """Draw patterns for slices of ``shape`` (Z, H, W)."""
    angles = (shape[0], _ANGLES)
    flow = [smooth_noise(generator, shape, sigma, (1, 2)) for sigma in (2.5, 4.0, 4.0)]
    return Texture(
        flow=np.stack(flow),
        muscle=smooth_noise(generator, shape, 1.2, (1, 2)),
        lv_trabeculae=_ridges(generator, angles, 6),
        rv_trabeculae=_ridges(generator, angles, 9),
        fat_mm=2.0 + 1.2 * smooth_noise(generator, angles, 18, (1,)),
    )


def paint_heart(
    canvas: Field,
    heart: Heart,
    contrast: Contrast,
    grid: Grid,
    shape: Outlines,
    phase: float,
    texture: Texture,
) -> None:
    """Paint the heart at ``phase`` of the cycle over the trunk, in place, from the outside in.

    Args:
        canvas: (Z, H, W) intensities of the trunk, relative to LV blood.
        heart: the person's heart.
        contrast: intensities of the tissues.
        grid: positions of the pixels of ``canvas``.
        shape: outlines of the heart at ``phase``.
        phase: 0 (ED) … 1 (ED again).
        texture: the person's patterns.
    """
    c = contraction(phase)
    deep = share_of_stack(grid)
    p, q, angle = heart_frame(heart, grid, phase)
    muscle = contrast.myocardium * (1 + 0.12 * texture.muscle)
    cos, sin = math.cos(2 * math.pi * phase), math.sin(2 * math.pi * phase)
    flow = texture.flow[0] + 0.7 * (cos * texture.flow[1] + sin * texture.flow[2])

    rv_wall = shape.rv - RV_WALL_MM
    sac = union(shape.epicardium, rv_wall, 12.0) - _by_angle(texture.fat_mm, angle)
    # Most fat lies in front of the RV and around the apex.
    sac = sac - 5 * np.clip(np.cos(angle), 0, 1) * (0.4 + deep) - 8 * deep**4
    paint(canvas, sac, contrast.fat * (1 + 0.1 * texture.muscle), EDGE_MM)
    darken_edge(canvas, sac, 0.5, 1.0)

    paint(canvas, rv_wall, muscle, EDGE_MM)
    darken_edge(canvas, rv_wall, 0.5, 1.0)
    rv_angle = np.arctan2(q, p - 45 * (1 - 0.2 * c) * (1 - 0.4 * deep))
    rough_mm = (2 + 5 * deep) * _by_angle(texture.rv_trabeculae, rv_angle)
    free_wall = np.clip(shape.epicardium / 8, 0, 1)  # the septum is smooth
    rv_blood = contrast.rv_blood * (1 + (0.05 + 0.05 * deep) * flow)
    paint(canvas, shape.rv + rough_mm * free_wall, rv_blood, EDGE_MM + 1.5 * deep)

    paint(canvas, shape.epicardium, muscle, EDGE_MM)
    darken_edge(canvas, shape.epicardium, 0.3, 1.0)
    rough_mm = (0.8 + 2.0 * deep) * (1 + 0.3 * c) * _by_angle(texture.lv_trabeculae, angle)
    blood = contrast.lv_blood * (1 + 0.05 * flow)
    blur_mm = EDGE_MM + SLAB_MM * np.clip(shape.lv_slope, 0, 1.5)
    cavity = shape.endocardium + rough_mm
    papillary = _papillary_muscles(heart, c, p, q, deep, shape)
    paint(canvas, intersection(cavity, -papillary), blood, blur_mm)


def _papillary_muscles(
    heart: Heart, c: float, p: Field, q: Field, deep: Field, shape: Outlines
) -> Field:
    """Distance (Z, H, W) to two muscles near the free wall, in the middle of the stack."""
    radius_mm = np.hypot(p, q) - shape.endocardium  # of the cavity
    swell = np.clip(1 - ((deep - 0.5) / 0.3) ** 2, 0, 1)
    at_mm = (0.6 + 0.3 * np.clip(deep - 0.4, 0, 1)) * radius_mm
    muscles: Field = np.full_like(shape.endocardium, 99.0)
    for resting_angle, max_radius_mm in heart.papillary:
        angle = resting_angle + heart.twist * c * deep
        size_mm = np.minimum(max_radius_mm * swell, 0.3 * radius_mm)
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = p - at_mm * cos, q - at_mm * sin
        shown_mm = np.maximum(size_mm, 1.5)
        blob = ellipse(cos * x + sin * y, cos * y - sin * x, 1.2 * shown_mm, 0.85 * shown_mm)
        muscles = union(muscles, np.where(size_mm > 1.5, blob, 99.0), 3.0)
    return muscles


def _ridges(generator: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Field:
    """Ridges of uneven height, 0…1, by angle: coarse noise decides where they are."""
    fine = smooth_noise(generator, shape, sigma, (1,))
    coarse = smooth_noise(generator, shape, 5 * sigma, (1,))
    return np.clip(0.4 * fine + 0.3 * coarse, 0, 1)


def _by_angle(pattern: Field, angle: Field) -> Field:
    """Values of a pattern (Z, 360) around a cavity at angles (Z, H, W) in radians."""
    index = (angle * (_ANGLES / (2 * np.pi))).astype(np.int32) % _ANGLES
    return np.take_along_axis(pattern, index.reshape(len(index), -1), 1).reshape(index.shape)
