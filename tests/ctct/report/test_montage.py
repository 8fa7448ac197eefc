from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ctct.io.study import Study
from ctct.labels import COLORS
from ctct.report.montage import AMBER, RED, STRIP, TILE, disagreement_jpeg, montage_png


def picture(
    labels: np.ndarray, rows: dict[str, int], spacing_mm: tuple[float, float]
) -> np.ndarray:
    voxels = np.random.default_rng(0).random(labels.shape).astype(np.float32)
    content = montage_png(Study("x", voxels, spacing_mm, 8.0), labels, rows)
    return np.asarray(Image.open(io.BytesIO(content)))


def painted(tile: np.ndarray, structure: str) -> np.ndarray:
    """Rows and columns of the pixels in the structure's color."""
    return np.argwhere((tile == COLORS[structure]).all(-1))


def test_a_row_per_frame_and_a_tile_for_every_slice() -> None:
    labels = np.zeros((2, 12, 40, 50), np.uint8)
    assert picture(labels, {"ED": 0, "ES": 1}, (1, 1)).shape == (2 * TILE + STRIP, 12 * TILE, 3)
    assert picture(labels[:, :2], {"": 0}, (1, 1)).shape == (TILE + STRIP, 2 * TILE, 3)


def test_more_slices_than_fit_beside_each_other_get_another_line() -> None:
    labels = np.zeros((2, 13, 40, 50), np.uint8)
    assert picture(labels, {"ED": 0, "ES": 1}, (1, 1)).shape == (4 * TILE + STRIP, 7 * TILE, 3)
    many = np.zeros((1, 300, 40, 50), np.uint8)  # 48 of them
    assert picture(many, {"": 0}, (1, 1)).shape == (4 * TILE + STRIP, 12 * TILE, 3)


def test_a_slice_in_doubt_has_a_frame_of_its_own_color() -> None:
    labels = np.zeros((2, 3, 40, 40), np.uint8)
    study = Study("x", np.random.default_rng(0).random(labels.shape, np.float32), (1, 1), 8.0)
    content = montage_png(study, labels, {"ED": 0, "ES": 1}, {(1, 2)})
    tiles = np.asarray(Image.open(io.BytesIO(content)))[: 2 * TILE]
    framed = {
        (row, n)
        for row in range(2)
        for n in range(3)
        if (tiles[row * TILE, n * TILE : (n + 1) * TILE] == AMBER).all()
    }
    assert framed == {(1, 2)}


def test_outlines_lie_on_the_edges_for_any_pixel_spacing() -> None:
    labels = np.zeros((1, 1, 60, 120), np.uint8)
    labels[0, 0, 20:40, 40:80] = 3  # 20 rows of 2 mm by 40 columns of 1 mm
    tile = picture(labels, {"": 0}, (2.0, 1.0))[:TILE]
    lv = painted(tile, "LV")
    # The square fills 1 / 1.35 of the tile, 142 pixels, in its middle: from 25 to 167.
    assert np.abs(lv.min(0) - 25).max() <= 2
    assert np.abs(lv.max(0) - 166).max() <= 2
    middle = lv[(lv[:, 0] > 60) & (lv[:, 0] < 130)]
    assert set(np.unique(middle[:, 1] < TILE // 2)) == {True, False}  # a left and a right edge
    assert len(middle) <= 2 * 2 * 70  # two lines of two pixels
    # The LV alone is outlined as the epicardium too, under its own outline.
    assert not len(painted(tile, "RV"))


def test_the_epicardium_encloses_myocardium_and_cavity() -> None:
    labels = np.zeros((1, 1, 60, 60), np.uint8)
    labels[0, 0, 10:50, 10:50] = 2
    labels[0, 0, 20:40, 20:40] = 3
    tile = picture(labels, {"": 0}, (1.0, 1.0))[:TILE]
    assert not (painted(tile, "MYO") == TILE // 2).all(1).any()
    inner, outer = painted(tile, "LV"), painted(tile, "MYO")
    assert (outer.min(0) < inner.min(0)).all()
    assert (outer.max(0) > inner.max(0)).all()
    # No green next to the orange: the endocardium is drawn once.
    central = outer[(np.abs(outer - TILE / 2) < 60).all(1)]
    assert not len(central)


def test_a_study_without_a_heart_still_has_its_picture() -> None:
    image = picture(np.zeros((1, 1, 40, 40), np.uint8), {"": 0}, (1.0, 1.0))[:TILE]
    assert not any(len(painted(image, s)) for s in COLORS)
    assert image.std() > 10  # the slice is there


def test_disagreement_is_red_and_the_rest_stays_gray() -> None:
    labels = np.zeros((1, 1, 60, 60), np.uint8)
    labels[0, 0, 20:40, 20:40] = 3
    voxels = np.full(labels.shape, 100, np.float32)
    voxels[..., 0] = 0  # some contrast, so that the gray is the brightest
    disagreement = np.zeros(labels.shape, np.float16)
    disagreement[0, 0, 20:40, 20:30] = 0.9  # the left half of the heart
    content = disagreement_jpeg(Study("x", voxels, (1, 1), 8), labels, disagreement, {"": 0})
    image = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    assert image.shape == (TILE + STRIP, TILE, 3)
    assert np.abs(image[96, 60] - RED).max() < 20
    assert np.ptp(image[96, 140]) < 20  # gray


def test_the_base_is_on_the_left_for_either_slice_order() -> None:
    labels = np.zeros((1, 3, 60, 60), np.uint8)
    for z, side in enumerate((20, 16, 8)):
        labels[0, z, 30 - side : 30 + side, 30 - side : 30 + side] = 3
    for stack in (labels, labels[:, ::-1]):
        tiles = picture(stack, {"": 0}, (1.0, 1.0))[:TILE].reshape(TILE, 3, TILE, 3)
        widths = [np.ptp(painted(tiles[:, n], "LV")[:, 1]) for n in range(3)]
        assert widths[0] > widths[1] > widths[2]
