"""The trunk: air around it, lung in the chest, and a bright wall between them."""

from __future__ import annotations

import numpy as np
import pytest

from ctct.synthetic.body import paint_body
from ctct.synthetic.heart import STACK_MM, Grid, draw_heart, heart_frame
from ctct.synthetic.mri import Contrast

CONTRAST = Contrast(
    rv_blood=0.9, myocardium=0.3, fat=1.1, muscle=0.2, lung=0.07, liver=0.25, spleen=0.35
)


@pytest.fixture(scope="module")
def grid() -> Grid:
    y, x = np.meshgrid(np.arange(-250.0, 251, 2), np.arange(-250.0, 251, 2), indexing="ij")
    return Grid(x[None], y[None], np.linspace(*STACK_MM, 4)[:, None, None])


@pytest.mark.parametrize("seed", range(3))
def test_air_wall_and_lung(seed: int, grid: Grid) -> None:
    generator = np.random.default_rng(seed)
    heart = draw_heart(generator)
    image = paint_body(generator, heart, CONTRAST, grid)
    assert image.shape == (4, 251, 251)
    assert np.isfinite(image).all() and image.min() >= 0
    p, q, _ = heart_frame(heart, grid)
    image = np.broadcast_to(image, np.broadcast_shapes(image.shape, p.shape))
    assert image[p > 150].max() == pytest.approx(0, abs=1e-3)  # in front of the chest
    wall = image[(np.abs(q) < 10) & (p > 75) & (p < 110)]
    assert wall.max() > 0.9  # fat
    lung = image[0][(q[0] < -20) & (q[0] > -60) & (np.abs(p[0] + 30) < 20)]
    assert np.median(lung) == pytest.approx(0.07, rel=0.3)


def test_the_same_seed_gives_the_same_trunk(grid: Grid) -> None:
    heart = draw_heart(np.random.default_rng(0))
    one, other = (paint_body(np.random.default_rng(1), heart, CONTRAST, grid) for _ in range(2))
    np.testing.assert_array_equal(one, other)
