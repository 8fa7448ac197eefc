"""The beating heart's geometry: volumes, cycle, and which structure touches which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctct.synthetic.heart import (
    END_SYSTOLE,
    STACK_MM,
    Grid,
    Heart,
    contraction,
    draw_heart,
    heart_frame,
    label_map,
    outlines,
)

RV, MYO, LV = 1, 2, 3
PIXEL_MM = 1.0
SLICES = 30
VOXEL_ML = PIXEL_MM**2 * (STACK_MM[1] - STACK_MM[0]) / SLICES / 1000


@pytest.fixture(scope="module")
def grid() -> Grid:
    offsets = np.arange(-110, 111) * PIXEL_MM
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    low, high = STACK_MM
    z = low + (np.arange(SLICES) + 0.5) * (high - low) / SLICES
    return Grid(x[None], y[None], z[:, None, None])


@pytest.fixture(scope="module")
def heart() -> Heart:
    return draw_heart(np.random.default_rng(3))


def volumes_ml(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=4)[:4] * VOXEL_ML


def test_the_cycle_starts_full_is_emptiest_at_es_and_closes() -> None:
    assert contraction(0.0) == 0.0
    assert contraction(END_SYSTOLE) == pytest.approx(1.0)
    assert contraction(1.0) == pytest.approx(0.0)
    # Half-way through ejection half of the stroke volume is ejected: 3/4 - 2/8 = 1/2.
    assert contraction(END_SYSTOLE / 2) == pytest.approx(0.5)
    curve = [contraction(phase) for phase in np.linspace(0, 1, 200)]
    assert min(curve) >= 0 and max(curve) <= 1
    assert np.abs(np.diff(curve)).max() < 0.03


def test_labels_hold_the_requested_volumes(heart: Heart, grid: Grid) -> None:
    heart = replace(heart, lv_edv_ml=150.0, lv_ef=0.6, lv_mass_g=105.0, ripple=())
    ed = volumes_ml(label_map(outlines(heart, 0.0, grid)))
    es = volumes_ml(label_map(outlines(heart, END_SYSTOLE, grid)))
    assert ed[LV] == pytest.approx(150, rel=0.01)
    assert es[LV] == pytest.approx(60, rel=0.01)  # 150 · (1 - 0.6)
    assert ed[MYO] == pytest.approx(100, rel=0.02)  # 105 g at 1.05 g/mL
    assert es[MYO] == pytest.approx(100, rel=0.02)  # muscle is incompressible
    assert 0.45 < 1 - es[RV] / ed[RV] < 0.65


@pytest.mark.parametrize("phase", [0.0, END_SYSTOLE])
def test_the_cavity_is_wrapped_in_myocardium(heart: Heart, grid: Grid, phase: float) -> None:
    labels = label_map(outlines(heart, phase, grid))
    cavity = labels == LV
    for axis in (1, 2):
        for step in (1, -1):
            touched = np.roll(cavity, step, axis) & ~cavity
            assert set(np.unique(labels[touched])) == {MYO}


def test_the_wall_thickens_and_the_heart_tapers(heart: Heart, grid: Grid) -> None:
    def wall_mm(phase: float) -> np.ndarray:
        labels = label_map(outlines(heart, phase, grid))[: SLICES // 2]
        inner = (labels == LV).sum((1, 2))
        outer = inner + (labels == MYO).sum((1, 2))
        return (np.sqrt(outer / np.pi) - np.sqrt(inner / np.pi)) * PIXEL_MM

    assert (wall_mm(END_SYSTOLE) > 1.2 * wall_mm(0.0)).all()
    labels = label_map(outlines(heart, 0.0, grid))
    for structure in (RV, LV):
        area = (labels == structure).sum((1, 2))
        assert area[0] > 2000 and area[SLICES * 3 // 4] < 0.8 * area[0] and area[-1] == 0


def test_the_rv_lies_to_the_left_against_the_septum(grid: Grid) -> None:
    for seed in range(5):
        heart = draw_heart(np.random.default_rng(seed))
        labels = label_map(outlines(heart, 0.0, grid))[SLICES // 3]
        assert np.argwhere(labels == RV)[:, 1].mean() < np.argwhere(labels == LV)[:, 1].mean() - 25
        rv = labels == RV
        assert (np.roll(rv, 1, 1) & (labels == MYO)).sum() > 15


def test_the_heart_frame_points_at_the_rv(heart: Heart) -> None:
    heart = replace(heart, rv_angle=np.pi, center_mm=(10.0, 0.0), drift_mm=(0.0, 0.0))
    one = np.ones((1, 1, 1))
    p, q, angle = heart_frame(heart, Grid(-20 * one, 30 * one, 50 * one))
    # 30 mm left of the axis and 30 mm below it: towards the RV and towards the diaphragm.
    assert (p.item(), q.item()) == pytest.approx((30.0, 30.0))
    assert angle.item() == pytest.approx(np.pi / 4)


@pytest.mark.parametrize("seed", range(20))
def test_every_person_is_a_healthy_adult(seed: int) -> None:
    heart = draw_heart(np.random.default_rng(seed))
    assert 120 <= heart.lv_edv_ml <= 180
    assert 0.55 <= heart.lv_ef <= 0.65
    assert 90 <= heart.lv_mass_g <= 150
    assert np.hypot(*heart.center_mm) < 40
