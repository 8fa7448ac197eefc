"""The beating heart: its parameters, and the outlines of its chambers at a moment of the cycle.

The shape follows from the volumes. Left ventricle and epicardium are bodies of revolution whose
radius at each moment is computed from the volume they hold. The myocardium is incompressible, so it
thickens as the cavity empties and the valve plane descends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.volumes import MYOCARDIAL_DENSITY_G_PER_ML
from ctct.synthetic.shapes import Field, ellipse, intersection

#: End-systole, as a fraction of the cycle.
END_SYSTOLE = 0.35
#: Extent of the stack in mm below the mitral valve at ED. It starts where the valve is at ES, so
#: that the first slice always shows the ventricles, and ends below the apex.
STACK_MM = (8.0, 95.0)

# Ejection, rapid filling, diastasis and atrial contraction: fraction of the cycle, of the stroke.
_CYCLE = np.array([[0, 0], [END_SYSTOLE, 1], [0.6, 0.27], [0.85, 0.2], [1, 0]])


@dataclass(frozen=True)
class Heart:
    """One person's heart.

    Attributes:
        lv_edv_ml: LV volume at ED.
        lv_ef: ejected fraction of that volume.
        lv_mass_g: mass of the LV myocardium.
        lv_length_mm: mitral valve to endocardial apex at ED.
        rv_gap_mm: widest distance between septum and RV free wall at ED.
        rv_half_height_mm: half the distance between the RV's corners at ED.
        rv_angle: direction from the LV to the RV in the image; 0 is right, π/2 down, π left.
        rv_lean: shear of the RV, which is wider at its lower, inflow corner.
        shift_mm: shift of the LV towards the RV at ES; the outline of the whole heart moves less.
        valve_descent_mm: shift of the valve plane towards the apex at ES.
        twist: rotation of the apex relative to the base at ES, radians.
        center_mm: (x right, y down) of the LV axis from the image center, at the base.
        drift_mm: offset of that axis at the end of the stack, relative to ``center_mm``.
        ripple: sine and cosine amplitude of each harmonic of the outline from the second on.
        papillary: angle from the RV's direction and largest radius in mm of each muscle.
    """

    lv_edv_ml: float
    lv_ef: float
    lv_mass_g: float
    lv_length_mm: float
    rv_gap_mm: float
    rv_half_height_mm: float
    rv_angle: float
    rv_lean: float
    shift_mm: float
    valve_descent_mm: float
    twist: float
    center_mm: tuple[float, float]
    drift_mm: tuple[float, float]
    ripple: tuple[tuple[float, float], ...]
    papillary: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Grid:
    """Pixel positions (Z, H, W), or broadcastable to it, in mm: x right, y down, z to the apex."""

    x_mm: Field
    y_mm: Field
    z_mm: Field


@dataclass(frozen=True)
class Outlines:
    """Signed distances (Z, H, W) in mm to the edges of the chambers.

    Attributes:
        endocardium: edge of the LV cavity.
        epicardium: outer edge of the LV myocardium.
        rv: edge of the RV cavity.
        lv_slope: mm the endocardium moves inward per mm towards the apex (Z, 1, 1).
    """

    endocardium: Field
    epicardium: Field
    rv: Field
    lv_slope: Field


def draw_heart(generator: np.random.Generator) -> Heart:
    """Draw a healthy adult's heart."""

    def between(low: float, high: float) -> float:
        return float(generator.uniform(low, high))

    edv_ml = between(125, 165)
    size = (edv_ml / 145) ** (1 / 3)
    angle = math.pi + math.radians(between(-30, 30))
    # The RV lies to one side of the LV axis, and the whole heart near the center of the image.
    heart_mm = np.array([between(-12, 12), between(-12, 12)])
    axis_mm = heart_mm - 14 * np.array([math.cos(angle), math.sin(angle)])
    return Heart(
        lv_edv_ml=edv_ml,
        lv_ef=between(0.56, 0.64),
        lv_mass_g=edv_ml * between(0.72, 0.88),
        lv_length_mm=between(82, 86),
        rv_gap_mm=size * between(36, 42),
        rv_half_height_mm=size * between(41, 46),
        rv_angle=angle,
        rv_lean=between(0.0, 0.3),
        shift_mm=between(3, 6),
        valve_descent_mm=between(9, 12),
        twist=math.radians(between(8, 15)),
        center_mm=(float(axis_mm[0]), float(axis_mm[1])),
        drift_mm=(between(-6, 2), between(-3, 5)),
        ripple=tuple((0.012 * between(-2, 2), 0.012 * between(-2, 2)) for _ in range(3)),
        papillary=tuple(
            (math.radians(side + between(-15, 15)), between(3.5, 5.5)) for side in (-125, 130)
        ),
    )


def contraction(phase: float) -> float:
    """Fraction of the stroke volume that has left the heart; ``phase`` 0 (ED) … 1 (ED again)."""
    knots, values = _CYCLE.T
    i = min(int(np.searchsorted(knots, phase, side="right")) - 1, len(knots) - 2)
    s = (phase - knots[i]) / (knots[i + 1] - knots[i])
    eased = s * s * (3 - 2 * s)
    return float(values[i] + eased * (values[i + 1] - values[i]))


def outlines(heart: Heart, phase: float, grid: Grid) -> Outlines:
    """Edges of the chambers at ``phase`` of the cycle."""
    c = contraction(phase)
    base_mm = heart.valve_descent_mm * c
    depth = (grid.z_mm - base_mm) / (heart.lv_length_mm - base_mm)  # 0 valve, 1 endocardial apex
    toward_rv, across, angle = heart_frame(heart, grid, phase)
    wave = _ripple(heart, angle - heart.twist * c * depth)

    cavity_ml = heart.lv_edv_ml * (1 - heart.lv_ef * c)
    whole_ml = cavity_ml + heart.lv_mass_g / MYOCARDIAL_DENSITY_G_PER_ML
    apex_mm = heart.lv_length_mm + 5
    radius = np.hypot(toward_rv, across)
    inner_mm = _radius_mm(cavity_ml, base_mm, heart.lv_length_mm, grid.z_mm)
    outer_mm = _radius_mm(whole_ml, base_mm, apex_mm, grid.z_mm)
    endocardium = radius - inner_mm * (1 + wave)
    epicardium = np.where(outer_mm > 0, radius - outer_mm * (1 + 0.6 * wave), 99.0)

    taper = _profile(depth / 0.97, 1.9)
    gap_mm = heart.rv_gap_mm * (1 - 0.52 * c) * taper
    height_mm = heart.rv_half_height_mm * (1 - 0.2 * c) * (0.25 + 0.75 * taper)
    # An ellipse about a point inside the LV, less the LV: a crescent with rounded horns.
    hinge_mm = 0.8 * outer_mm
    lean = toward_rv - hinge_mm - heart.rv_lean * across
    depth_mm = np.maximum(gap_mm + outer_mm - hinge_mm, 0.1)  # not below 0 past the apex
    outer = ellipse(lean, across, depth_mm, height_mm)
    reached = grid.z_mm < 0.9 * heart.lv_length_mm  # readers leave out the slit beyond
    rv = np.where(reached, intersection(outer, -epicardium, 4.0), 99.0)
    step_mm = 1.0
    deeper_mm = _radius_mm(cavity_ml, base_mm, heart.lv_length_mm, grid.z_mm + step_mm)
    return Outlines(endocardium, epicardium, rv, (inner_mm - deeper_mm) / step_mm)


def share_of_stack(grid: Grid) -> Field:
    """Position of each slice in the stack (Z, 1, 1), from 0 at the base to 1 past the apex."""
    share: Field = (grid.z_mm - STACK_MM[0]) / (STACK_MM[1] - STACK_MM[0])
    return share


def heart_frame(heart: Heart, grid: Grid, phase: float = 0.0) -> tuple[Field, Field, Field]:
    """Coordinates about the LV axis: towards the RV, across (down if the RV is left), and angle.

    The LV moves during the cycle, and the coordinates with it.

    Returns:
        mm, mm and radians, each (Z, H, W); the angle is 0 towards the RV.
    """
    share = share_of_stack(grid)
    x = grid.x_mm - heart.center_mm[0] - share * heart.drift_mm[0]
    y = grid.y_mm - heart.center_mm[1] - share * heart.drift_mm[1]
    cos, sin = math.cos(heart.rv_angle), math.sin(heart.rv_angle)
    toward_rv = cos * x + sin * y - heart.shift_mm * contraction(phase)
    across = sin * x - cos * y
    return toward_rv, across, np.arctan2(across, toward_rv)


def label_map(shape: Outlines) -> npt.NDArray[np.uint8]:
    """Labels (Z, H, W) in ACDC order: a pixel belongs to the structure that its center lies in."""
    labels = np.zeros(shape.endocardium.shape, np.uint8)
    labels[shape.rv < 0] = VALUE[RV]
    labels[shape.epicardium < 0] = VALUE[MYO]
    labels[shape.endocardium < 0] = VALUE[LV]
    return labels


def _profile(depth: Field, power: float = 3.0) -> Field:
    """Relative radius of a ventricle, 1 at the valve, 0 at the apex and beyond."""
    profile: Field = np.sqrt(np.clip(1 - np.clip(depth, 0, None) ** power, 0, None))
    return profile


def _radius_mm(volume_ml: float, base_mm: float, apex_mm: float, z_mm: Field) -> Field:
    """Radius at ``z_mm`` of the body of revolution that holds ``volume_ml`` within the stack.

    Its radius is ``R · profile(z)``, so ``V = π R² ∫ profile² dz``.
    """
    z = np.linspace(*STACK_MM, 361)
    area = _profile((z - base_mm) / (apex_mm - base_mm)) ** 2
    integral_mm = float(area.mean()) * (STACK_MM[1] - STACK_MM[0])
    scale_mm = math.sqrt(1000 * volume_ml / (math.pi * integral_mm))
    return scale_mm * _profile((z_mm - base_mm) / (apex_mm - base_mm))


def _ripple(heart: Heart, angle: Field) -> Field:
    """Relative deviation of an outline from a circle."""
    wave: Field = np.zeros_like(angle)
    for k, (sine, cosine) in enumerate(heart.ripple, start=2):
        wave = wave + sine * np.sin(k * angle) + cosine * np.cos(k * angle)
    return wave
