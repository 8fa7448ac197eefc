"""Damaged scans: image and labels stay together, and the damage has the stated size."""

from __future__ import annotations

import numpy as np
import pytest
from tests_support import phantom

from ctct.io.study import Study
from ctct.synthetic.damage import DAMAGES

Scan = tuple[Study, np.ndarray]


@pytest.fixture(scope="module")
def scan() -> Scan:
    """Two frames of a heart in 8 slices, and its labels."""
    labels = np.repeat(phantom(60, 80, 8)[None], 2, 0)
    voxels = np.array([20, 180, 80, 200], np.float32)[labels]
    return Study("scan", voxels, (1.5, 1.25), 8.0), labels


def damage(name: str, scan: Scan, seed: int = 0) -> Scan:
    return DAMAGES[name](*scan, np.random.default_rng(seed))


def test_no_damage_changes_nothing(scan: Scan) -> None:
    study, labels = damage("none", scan)
    assert study is scan[0]
    assert labels is scan[1]


@pytest.mark.parametrize("name", DAMAGES)
def test_image_and_labels_stay_together(name: str, scan: Scan) -> None:
    before, labels_before = scan[0].voxels.copy(), scan[1].copy()
    study, labels = damage(name, scan)
    assert study.voxels.shape == labels.shape
    assert study.voxels.dtype == np.float32
    assert np.isfinite(study.voxels).all()
    np.testing.assert_array_equal(scan[0].voxels, before)  # the scan itself is not changed
    np.testing.assert_array_equal(scan[1], labels_before)


def test_noise_is_rician(scan: Scan) -> None:
    study, labels = damage("noise 0.5", scan)
    # Of a dark background (20, noise 0.5 x 200 = 100) the mean is near 100 sqrt(pi / 2) = 125.
    assert study.voxels[scan[0].voxels == 20].mean() == pytest.approx(127, abs=2)
    np.testing.assert_array_equal(labels, scan[1])


def test_ghosts_lie_at_shifts_of_the_rows() -> None:
    # A third of k-space is weakened by 0.7: of a point 1 - 0.7 / 3 stays in its place.
    point = np.zeros((1, 1, 60, 4), np.float32)
    point[0, 0, 10] = 3.0
    scan = Study("point", point, (1, 1), 8), np.zeros(point.shape, np.uint8)
    column = damage("ghosting 0.7", scan)[0].voxels[0, 0, :, 0]
    assert column[10] == pytest.approx(3 * (1 - 0.7 / 3), rel=1e-5)
    assert column[[30, 50]] == pytest.approx([0.7, 0.7], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "possible"),
    [
        ("every other slice", ([0, 2, 4, 6], [1, 3, 5, 7])),
        ("base and apex lost", ([2, 3, 4, 5],)),
    ],
)
def test_lost_slices(name: str, possible: tuple[list[int], ...]) -> None:
    numbers = np.arange(8, dtype=np.uint8)[None, :, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    scan = Study("scan", numbers.astype(np.float32), (1.0, 1.0), 8.0), numbers
    study, labels = damage(name, scan)
    assert study.voxels[0, :, 0, 0].tolist() in possible
    np.testing.assert_array_equal(labels, study.voxels)
    assert study.slice_spacing_mm == 8.0  # the header is not corrected


def test_wrong_spacing(scan: Scan) -> None:
    assert damage("spacing x 1.8", scan)[0].spacing_mm == (2.7, 2.25)
    assert damage("spacing x 0.5", scan)[0].spacing_mm == (0.75, 0.625)


@pytest.mark.parametrize("seed", range(4))
def test_cropping_removes_a_side_of_the_heart(seed: int, scan: Scan) -> None:
    columns = np.flatnonzero(scan[1].any(axis=(0, 1, 2)))
    width = round(0.6 * (columns[-1] - columns[0]))
    study, labels = damage("cropped by 0.6", scan, seed)
    assert study.voxels.shape[3] in (80 - columns[0] - width, columns[-1] - width)
    assert np.count_nonzero(labels) < 0.6 * np.count_nonzero(scan[1])
