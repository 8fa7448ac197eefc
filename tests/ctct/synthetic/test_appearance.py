"""The image of the heart: tissues where the outlines say, and textures within their range."""

from __future__ import annotations

import numpy as np
import pytest

from ctct.synthetic.appearance import Texture, draw_texture, paint_heart
from ctct.synthetic.heart import END_SYSTOLE, STACK_MM, Grid, Heart, draw_heart, outlines
from ctct.synthetic.mri import Contrast

CONTRAST = Contrast(
    rv_blood=0.9, myocardium=0.3, fat=1.1, muscle=0.2, lung=0.07, liver=0.25, spleen=0.35
)
SLICES = 6
BACKGROUND = 0.5


@pytest.fixture(scope="module")
def heart() -> Heart:
    return draw_heart(np.random.default_rng(3))


@pytest.fixture(scope="module")
def grid() -> Grid:
    y, x = np.meshgrid(np.arange(-110.0, 111), np.arange(-110.0, 111), indexing="ij")
    z = np.linspace(*STACK_MM, SLICES)
    return Grid(x[None], y[None], z[:, None, None])


@pytest.fixture(scope="module")
def smooth() -> Texture:
    """No variation at all, and 2 mm of fat."""
    angles = np.zeros((SLICES, 360))
    shape = (SLICES, 221, 221)
    return Texture(np.zeros((3, *shape)), np.zeros(shape), angles, angles, angles + 2)


@pytest.mark.parametrize("phase", [0.0, END_SYSTOLE])
def test_tissues_are_where_the_outlines_say(
    heart: Heart, grid: Grid, smooth: Texture, phase: float
) -> None:
    edges = outlines(heart, phase, grid)
    canvas = np.full(edges.rv.shape, BACKGROUND)
    paint_heart(canvas, heart, CONTRAST, grid, edges, phase, smooth)
    base = np.s_[:2]  # above the papillary muscles
    assert canvas[base][edges.endocardium[base] < -8] == pytest.approx(1.0)
    assert canvas[base][edges.rv[base] < -8] == pytest.approx(0.9)
    wall = np.maximum(-edges.endocardium, edges.epicardium)[base]  # negative inside of the wall
    assert np.median(canvas[base][wall < -2]) == pytest.approx(0.3, abs=0.01)
    away = np.minimum.reduce([edges.endocardium, edges.epicardium, edges.rv]) > 40
    np.testing.assert_allclose(canvas[away], BACKGROUND, atol=1e-3)


def test_papillary_muscles_darken_the_cavity_in_the_middle(
    heart: Heart, grid: Grid, smooth: Texture
) -> None:
    edges = outlines(heart, 0.0, grid)
    canvas = np.full(edges.rv.shape, BACKGROUND)
    paint_heart(canvas, heart, CONTRAST, grid, edges, 0.0, smooth)
    dark = [
        np.count_nonzero(image[edge < -5] < 0.6)
        for image, edge in zip(canvas, edges.endocardium, strict=True)
    ]
    assert dark[0] == 0
    assert max(dark[2:4]) > 20


def test_textures_stay_in_their_range_and_are_drawn_again_by_the_same_seed() -> None:
    one, other = (draw_texture(np.random.default_rng(7), (4, 32, 24)) for _ in range(2))
    assert one.flow.shape == (3, 4, 32, 24)
    assert one.muscle.shape == (4, 32, 24)
    for ridges in (one.lv_trabeculae, one.rv_trabeculae):
        assert ridges.shape == (4, 360)
        assert 0 == ridges.min() < ridges.max() <= 1
    assert one.fat_mm.mean() == pytest.approx(2.0, abs=0.6)
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(other, name))
