from __future__ import annotations

import math

import numpy as np
import pytest

from ctct.errors import InputError
from ctct.evaluation.surface import assd, hd95, surface_distances


def line(*on: int) -> np.ndarray:
    mask = np.zeros((1, 12), bool)
    mask[0, list(on)] = True
    return mask


def test_two_points_four_columns_of_1_5_mm_apart() -> None:
    distances = surface_distances(line(2), line(6), (1.0, 1.5))
    assert hd95(*distances) == pytest.approx(6.0)
    assert assd(*distances) == pytest.approx(6.0)


def test_both_directions_make_one_list() -> None:
    # From {0, 1, 2, 3} to {0}: 0, 1, 2, 3 mm; back: 0. All in one row, so every voxel is surface.
    there, back = surface_distances(line(0, 1, 2, 3), line(0), (1.0, 1.0))
    assert sorted(there) == pytest.approx([0, 1, 2, 3])
    assert assd(there, back) == pytest.approx((0 + 1 + 2 + 3 + 0) / 5)
    # 0, 0, 1, 2, 3: the 95th percentile lies 0.95 x 4 = 3.8 steps in, 0.8 of the way from 2 to 3.
    assert hd95(there, back) == pytest.approx(2.8)


def test_only_the_surface_counts_and_every_axis_has_its_spacing() -> None:
    one = np.zeros((7, 9, 9), bool)
    one[1:6, 2:7, 2:7] = True  # 5 x 5 x 5, its inner 3 x 3 x 3 is no surface
    there, back = surface_distances(one, one, (8.0, 1.5, 1.25))
    assert len(there) == len(back) == 125 - 27
    assert not there.any()
    for axis, step in enumerate((8.0, 1.5, 1.25)):
        there, back = surface_distances(one, np.roll(one, 1, axis), (8.0, 1.5, 1.25))
        assert max(there.max(), back.max()) == pytest.approx(step)


def test_an_empty_mask_has_no_distance() -> None:
    for pair in ((line(), line(3)), (line(3), line()), (line(), line())):
        distances = surface_distances(*pair, (1.0, 1.0))
        assert math.isnan(hd95(*distances))
        assert math.isnan(assd(*distances))


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match="one spacing per axis"):
        surface_distances(line(1), line(1), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_medpy(seed: int) -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    generator = np.random.default_rng(seed)
    z, y, x = np.indices((6, 24, 20))
    prediction, reference = (
        np.hypot(np.hypot(2 * (z - 3), y - 11 - cy), x - 9 - cx) + generator.normal(0, 0.8, z.shape)
        < radius
        for cy, cx, radius in ((0, 0, 7), (1, 2, 6))
    )
    spacing = (9.0, 1.5, 1.25)
    distances = surface_distances(prediction, reference, spacing)
    assert hd95(*distances) == pytest.approx(binary.hd95(prediction, reference, spacing), rel=1e-5)
    assert assd(*distances) == pytest.approx(binary.assd(prediction, reference, spacing), rel=1e-5)
