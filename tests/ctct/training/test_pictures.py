from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ctct.labels import COLORS, RV
from ctct.training.pictures import STRIP, curves_png, teaching_png


def test_one_row_per_slice() -> None:
    images = np.full((3, 32, 32), -2, np.float32)  # black
    labels = np.zeros((3, 32, 32), np.int64)
    labels[0, 8:24, 8:24] = 1
    disagreement = np.zeros((3, 32, 32), np.float32)
    disagreement[2] = 1.0
    picture = Image.open(
        io.BytesIO(teaching_png(images, [labels[0]], labels, 0 * labels, labels, disagreement))
    )
    assert picture.size == (6 * 32, 3 * 32 + STRIP)
    # Half the RV's color on black: the manual labels, the first network, what is taught.
    half = tuple(value // 2 for value in COLORS[RV])
    middle = [picture.getpixel((32 * column + 16, STRIP + 16)) for column in range(6)]
    assert middle == [(0, 0, 0), half, half, (0, 0, 0), half, (0, 0, 0)]
    assert picture.getpixel((5 * 32 + 16, STRIP + 2 * 32 + 16)) == (255, 0, 0)


def test_curves_from_rows_that_hold_some_columns_only() -> None:
    rows = [
        {"step": 50, "loss_labelled": 0.5, "loss_unlabelled": 0.2},
        {"step": 60, "dice_cnn": 0.3},
    ]
    drawn, empty = (
        np.asarray(Image.open(io.BytesIO(curves_png(r))).convert("L"), int) for r in (rows, [])
    )
    assert drawn.shape == empty.shape
    assert (drawn < 250).sum() > (empty < 250).sum()
