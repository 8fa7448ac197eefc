from __future__ import annotations

import math

import numpy as np
import pytest

from ctct.measurement.wall import (
    SEGMENTS,
    sector_thickness_mm,
    seen_from_apex,
    septum_degrees,
    thickening_percent,
    wall_thickness_mm,
)

SPACING_MM = (1.0, 1.25)


def ring(rv_at: float | None = 180.0) -> np.ndarray:
    """A slice (100, 90): a ring of radii 20 and 30 mm, an RV against it, in degrees on screen."""
    rows, columns = np.indices((100, 90))
    up, right = (49.5 - rows) * SPACING_MM[0], (columns - 44.5) * SPACING_MM[1]
    radius, angle = np.hypot(up, right), np.rad2deg(np.arctan2(up, right))
    labels = np.select([radius < 20, radius < 30], [3, 2], 0)
    if rv_at is not None:
        off = np.abs((angle - rv_at + 180) % 360 - 180)
        labels[(radius >= 30) & (radius < 40) & (off < 50)] = 1
    return labels.astype(np.uint8)


def stack(one: np.ndarray) -> np.ndarray:
    """Three slices; the last, a little smaller, is the apex."""
    return np.stack([one, one, np.where(np.indices(one.shape)[0] < 21, 0, one)])


def test_thickness_of_a_ring_is_the_difference_of_its_radii() -> None:
    angle = np.zeros((100, 90))
    (whole,) = sector_thickness_mm(ring(), angle, 1, SPACING_MM)
    assert whole == pytest.approx(10.0, abs=0.05)
    assert sector_thickness_mm(ring(), angle, 2, SPACING_MM)[1] == 0  # an empty sector


@pytest.mark.parametrize("rv_at", [180.0, 100.0, 5.0, 300.0])
def test_the_septum_faces_the_rv(rv_at: float) -> None:
    found = septum_degrees(ring(rv_at=rv_at), SPACING_MM, seen_from_apex=True)
    assert found == pytest.approx(rv_at, abs=2)
    mirrored = septum_degrees(ring(rv_at=rv_at), SPACING_MM, seen_from_apex=False)
    assert mirrored == pytest.approx((180 - rv_at) % 360, abs=2)


def test_no_septum_no_orientation() -> None:
    assert septum_degrees(ring(rv_at=None), SPACING_MM, True) is None
    assert all(map(math.isnan, wall_thickness_mm(stack(ring(rv_at=None)), SPACING_MM, True)))


def test_an_even_ring_is_even_in_all_sixteen() -> None:
    found = wall_thickness_mm(stack(ring()), SPACING_MM, True)
    assert len(found) == len(SEGMENTS) == 16
    assert found[:12] == pytest.approx([10] * 12, abs=0.3)


@pytest.mark.parametrize(
    ("at", "from_apex", "basal", "apical"),
    [
        # With the RV on the left and seen from the apex, anterior is on top.
        (90, True, "basal anterior", "apical anterior"),
        (150, True, "basal anteroseptal", "apical septal"),
        (210, True, "basal inferoseptal", "apical septal"),
        (270, True, "basal inferior", "apical inferior"),
        (330, True, "basal inferolateral", "apical lateral"),
        (30, True, "basal anterolateral", "apical lateral"),
        # Seen from the base, the same picture has inferior on top.
        (90, False, "basal inferior", "apical inferior"),
    ],
)
def test_a_bulge_is_found_in_its_segment(
    at: float, from_apex: bool, basal: str, apical: str
) -> None:
    one = ring()
    rows, columns = np.indices(one.shape)
    up, right = (49.5 - rows) * SPACING_MM[0], (columns - 44.5) * SPACING_MM[1]
    off = np.abs((np.rad2deg(np.arctan2(up, right)) - at + 180) % 360 - 180)
    one[(one == 3) & (off < 25) & (np.hypot(up, right) >= 14)] = 2  # thicker inwards
    found = wall_thickness_mm(np.stack([one] * 3), SPACING_MM, from_apex)
    assert SEGMENTS[int(np.argmax(found[:6]))] == basal
    assert SEGMENTS[12 + int(np.argmax(found[12:]))] == apical


def test_who_looks_from_where() -> None:
    labels = stack(ring())  # base first
    slanted = np.eye(4)
    slanted[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 8.0]]
    # Columns x rows is +z, the way of the slices, towards the apex: the base is nearer.
    assert not seen_from_apex(labels, slanted)
    assert seen_from_apex(labels[::-1], slanted)
    slanted[:3, 2] *= -1
    assert seen_from_apex(labels, slanted)
    # Along the axes: nothing is known, the custom holds.
    assert seen_from_apex(labels, np.diag([1.0, 1.0, 8.0, 1.0]))


def test_thickening_by_hand() -> None:
    assert thickening_percent([8, 10, 0, math.nan], [12, 9, 5, 5])[:2] == (50, -10)
    assert all(map(math.isnan, thickening_percent([8, 10, 0, math.nan], [12, 9, 5, 5])[2:]))
