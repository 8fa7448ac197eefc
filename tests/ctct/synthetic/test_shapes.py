"""Signed distances, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ctct.synthetic.shapes import darken_edge, ellipse, intersection, paint, smooth_noise, union


def at(*values: float) -> np.ndarray:
    return np.array(values)


def test_a_circle_s_distance_is_exact() -> None:
    # 3-4-5: the point (3, 4) is 5 from the origin, 3 outside a circle of radius 2.
    assert ellipse(at(3.0, 1.0), at(4.0, 0.0), 2.0, 2.0) == pytest.approx([3.0, -1.0])


def test_an_ellipse_s_edge_is_where_it_should_be() -> None:
    distance = ellipse(at(4.0, 0.0, 4.5), at(0.0, 3.0, 0.0), 4.0, 3.0)
    assert distance[:2] == pytest.approx([0.0, 0.0])
    assert distance[2] == pytest.approx(0.5, rel=0.15)  # first order only


def test_the_center_of_an_ellipse_is_inside_and_finite() -> None:
    center = ellipse(at(0.0), at(0.0), 4.0, 3.0)
    assert np.isfinite(center).all() and (center <= 0).all()


def test_union_and_intersection_are_minimum_and_maximum_far_from_corners() -> None:
    a, b = at(1.0, -2.0), at(9.0, 7.0)
    assert union(a, b, 4.0) == pytest.approx([1.0, -2.0])
    assert intersection(a, b, 4.0) == pytest.approx([9.0, 7.0])


def test_a_corner_is_filled_by_a_quarter_of_the_blend() -> None:
    assert union(at(1.0), at(1.0), 4.0) == pytest.approx([0.0])
    assert intersection(at(1.0), at(1.0), 4.0) == pytest.approx([2.0])


def test_paint_covers_in_proportion() -> None:
    canvas = at(0.0, 0.0, 0.0, 0.0)
    paint(canvas, at(-5.0, 0.0, 0.5, 5.0), 8.0, 2.0)
    assert canvas == pytest.approx([8.0, 4.0, 2.0, 0.0])


def test_edges_are_darkened_and_the_rest_left() -> None:
    canvas = at(10.0, 10.0)
    darken_edge(canvas, at(0.0, 50.0), 0.4, 1.0)
    assert canvas == pytest.approx([6.0, 10.0])


def test_noise_has_unit_variance_and_is_smooth() -> None:
    noise = smooth_noise(np.random.default_rng(0), (2, 64, 64), 3.0, (1, 2))
    assert noise.std() == pytest.approx(1.0, abs=1e-5)
    assert np.abs(np.diff(noise, axis=1)).mean() < 0.5
