"""The trunk around the heart in a short-axis slice: chest wall, lung, diaphragm, abdomen, aorta.

It does not move, because the scan is taken in a breath-hold. Positions are relative to the heart
(:func:`ctct.synthetic.heart.heart_frame`): ``p`` mm towards the RV, where the chest wall is, and
``q`` mm across, where the diaphragm is. ``deep`` runs from 0 at the base to 1 at the apex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctct.synthetic.heart import END_SYSTOLE, Grid, Heart, heart_frame, outlines, share_of_stack
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

EDGE_MM = 2.2  # in-plane resolution


@dataclass(frozen=True)
class _Canvas:
    """The image so far (Z, H, W), and what is needed to add a part of the trunk."""

    signal: Field
    p: Field
    q: Field
    deep: Field
    contrast: Contrast
    generator: np.random.Generator

    def between(self, low: float, high: float) -> float:
        return float(self.generator.uniform(low, high))


def paint_body(
    generator: np.random.Generator, heart: Heart, contrast: Contrast, grid: Grid
) -> Field:
    """Intensities (Z, H, W) of the trunk; the heart is painted over it later."""
    p, q, _ = heart_frame(heart, grid)
    # One warp for all outlines, as no organ is a true ellipse.
    p = p + 3 * smooth_noise(generator, p.shape, 16, (1, 2))
    q = q + 3 * smooth_noise(generator, q.shape, 16, (1, 2))
    signal = np.zeros(p.shape, np.float32)
    canvas = _Canvas(signal, p, q, share_of_stack(grid), contrast, generator)
    half_mm = canvas.between(112, 130)
    middle_mm = 79 - half_mm - 34 * canvas.deep**2  # the apex comes near the chest wall
    chest = ellipse(p - middle_mm, q - 30, half_mm, canvas.between(128, 145))
    dome = 46 - 24 * canvas.deep**2 + (0.35 - 0.2 * canvas.deep) * np.maximum(15 - p, 0)
    below = intersection(dome - q, chest + 1.0, 6.0)

    _paint_wall(canvas, chest, np.arctan2(q - 30, p - middle_mm))
    _paint_lung_vessels(canvas, chest)
    _paint_spine(canvas)
    _paint_mediastinum(canvas, outlines(heart, 0.5 * END_SYSTOLE, grid).rv, chest, below)
    _paint_abdomen(canvas, below)
    fine = smooth_noise(generator, signal.shape, 1.0, (1, 2))
    coarse = smooth_noise(generator, signal.shape, 6.0, (1, 2))
    return signal * np.exp(0.06 * fine + 0.05 * coarse)


def _paint_wall(canvas: _Canvas, chest: Field, angle: Field) -> None:
    """From skin to lung: fat, muscle with ribs; ``angle`` is about the center of the chest."""
    fat_mm, intercostal_mm = canvas.between(8, 22), canvas.between(9, 14)
    shoulder = np.clip(-canvas.q / 50 - 1, 0, 1.5)  # muscle is thicker above the heart
    muscle_mm = intercostal_mm * (1 + shoulder)
    fat, signal = canvas.contrast.fat, canvas.signal
    paint(signal, chest - fat_mm - muscle_mm, fat, EDGE_MM)
    paint(signal, chest - muscle_mm, canvas.contrast.muscle, EDGE_MM)
    darken_edge(signal, chest - muscle_mm, 0.5, 1.2)
    spacing_mm = canvas.between(24, 30)
    along_mm = 130 * angle + canvas.between(0, spacing_mm)
    along_mm = (along_mm + spacing_mm / 2) % spacing_mm - spacing_mm / 2
    rib = ellipse(along_mm, chest - intercostal_mm / 2, 7.0, intercostal_mm / 2.6)
    paint(signal, rib, 0.6 * fat, EDGE_MM)
    darken_edge(signal, rib, 0.8, 1.5)
    paint(signal, chest, canvas.contrast.lung, EDGE_MM)


def _paint_lung_vessels(canvas: _Canvas, chest: Field) -> None:
    """Vessels of the lung in cross section: bright dots, fewer away from the hilum."""

    def draw(low: float, high: float) -> Field:
        """A value per slice, because thin vessels do not run straight through the stack."""
        size = (canvas.signal.shape[0], 1, 1)
        return canvas.generator.uniform(low, high, size).astype(np.float32)

    for _ in range(30):
        away_mm = -55 * np.log(draw(0.02, 1))
        angle = draw(-np.pi, np.pi)
        radius_mm = draw(0.7, 2.2)
        x = canvas.p + 40 - away_mm * np.cos(angle)
        y = canvas.q + 15 - away_mm * np.sin(angle)
        dot = ellipse(x, y, radius_mm, radius_mm * draw(1, 2))
        inside = intersection(dot, chest + 6)
        paint(canvas.signal, inside, draw(0.3, 0.9) * canvas.contrast.lv_blood, EDGE_MM)


def _paint_spine(canvas: _Canvas) -> None:
    """A vertebra with the muscles beside it, and the descending aorta in front of it."""
    p, q, signal, contrast = canvas.p, canvas.q, canvas.signal, canvas.contrast
    paint(signal, ellipse(p + 125, q - 75, 52.0, 34.0), contrast.muscle, EDGE_MM)
    vertebra = ellipse(p + 98, q - 68, 20.0, 17.0)
    paint(signal, vertebra, 0.4 * contrast.fat, EDGE_MM)
    darken_edge(signal, vertebra, 0.7, 1.5)
    aorta = ellipse(p + 62, q - 58, 11.0, 11.0)
    paint(signal, aorta - 3, contrast.muscle, EDGE_MM)
    paint(signal, aorta, 1.1 * contrast.lv_blood, EDGE_MM)


def _paint_mediastinum(canvas: _Canvas, rv: Field, chest: Field, below: Field) -> None:
    """Fat between the heart, the chest wall and the diaphragm."""
    apex = ellipse(canvas.p - 12, canvas.q - 4, 26.0, 20.0) + 60 * (1 - canvas.deep)
    heart = union(rv - 3, apex, 10.0)
    fat = union(union(heart, -chest, 36.0), below, 40.0)
    fat = intersection(fat, chest + 0.5)
    speckle = 1 + 0.12 * smooth_noise(canvas.generator, canvas.signal.shape, 1.5, (1, 2))
    paint(canvas.signal, fat, canvas.contrast.fat * speckle, EDGE_MM)


def _paint_abdomen(canvas: _Canvas, below: Field) -> None:
    """Below the diaphragm: the liver in front; stomach, spleen and bowel behind it."""
    p, q, deep = canvas.p, canvas.q, canvas.deep
    signal, contrast = canvas.signal, canvas.contrast
    lumps = smooth_noise(canvas.generator, signal.shape, 6, (1, 2))
    mottle = 1 + 0.25 * smooth_noise(canvas.generator, signal.shape, 2.5, (1, 2))
    paint(signal, below - 1.5, contrast.fat, EDGE_MM)
    bowel = intersection(below + 2, 5 * (lumps + 0.2))
    paint(signal, bowel, contrast.spleen * mottle, EDGE_MM)
    darken_edge(signal, bowel, 0.5, 1.2)
    liver = intersection(below, 20 + 0.3 * (q - 60) - 95 * (1 - deep) - p, 12.0)
    paint(signal, liver, contrast.liver, EDGE_MM)
    for _ in range(14):  # vessels of the liver
        radius_mm = canvas.between(1, 3.5)
        y = q - canvas.between(75, 150)
        x = p - canvas.between(-60, 55) + canvas.between(-1, 1) * y + 40 * (deep - 0.5)
        vessel = ellipse(x, y, radius_mm * canvas.between(1, 3), radius_mm)
        paint(signal, intersection(vessel, liver + 3), 2.0 * contrast.liver, EDGE_MM)
    higher = 60 * np.maximum(0.45 - deep, 0)  # keeps the organs out of higher slices
    stomach = ellipse(p + 32 - 10 * deep, q - 88 + 8 * deep, 30.0, 24.0) + higher
    stomach = intersection(stomach, below)
    paint(signal, stomach, 1.2 * contrast.liver * mottle, EDGE_MM)
    darken_edge(signal, stomach, 0.5, 1.5)
    spleen = intersection(ellipse(p + 85 - 6 * deep, q - 82, 24.0, 38.0) + higher, below)
    paint(signal, spleen, contrast.spleen, EDGE_MM)
    darken_edge(signal, below, 0.5, 1.2)
