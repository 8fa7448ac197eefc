"""Pictures of a training run: what the networks teach each other, and the curves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ctct.labels import COLORS, STRUCTURES, VALUE

#: Height of the strip of captions, in pixels.
STRIP = 24
COLUMNS = ("slice", "manual", "first network", "second network", "taught", "disagreement")


def teaching_png(
    images: npt.NDArray[np.float32],
    manual: Sequence[npt.NDArray[np.integer]],
    first: npt.NDArray[np.integer],
    second: npt.NDArray[np.integer],
    taught: npt.NDArray[np.integer],
    disagreement: npt.NDArray[np.float32],
    max_rows: int = 8,
) -> bytes:
    """PNG with one row per slice: image, labels (manual, of both networks, pseudo), disagreement.

    Args:
        images: (N, S, S) normalized intensities, the labelled slices first.
        manual: (S, S) label maps of the first slices; the others have none.
        first: (N, S, S) labels of the first network.
        second: (N, S, S) labels of the second network.
        taught: (N, S, S) pseudo-labels, 0 where they do not count.
        disagreement: (N, S, S), 0…1.
        max_rows: of slices evenly spaced over the batch, where it has more.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, max_rows).round().astype(int))
    size = images.shape[-1]
    canvas = Image.new("RGB", (size * len(COLUMNS), size * len(rows) + STRIP))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for column, caption in enumerate(COLUMNS):
        draw.text((column * size + 4, 4), caption, "white", font)
    for top, i in enumerate(rows):
        gray = ((images[i] + 2) * (255 / 5)).clip(0, 255).astype(np.uint8)
        plain = np.repeat(gray[..., None], 3, 2)
        reddened = plain.copy()
        reddened[..., 0] = np.maximum(
            reddened[..., 0], (np.nan_to_num(disagreement[i]) * 255).astype(np.uint8)
        )
        tiles = [
            plain,
            _tint(plain, manual[i]) if i < len(manual) else np.zeros_like(plain),
            *(_tint(plain, labels[i]) for labels in (first, second, taught)),
            reddened,
        ]
        for column, tile in enumerate(tiles):
            canvas.paste(Image.fromarray(tile), (column * size, STRIP + top * size))
    file = io.BytesIO()
    canvas.save(file, "PNG", optimize=True)
    return file.getvalue()


def _tint(picture: npt.NDArray[np.uint8], labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """A copy (S, S, 3) with each structure tinted in its color."""
    tinted = picture.copy()
    for structure in STRUCTURES:
        inside = labels == VALUE[structure]
        tinted[inside] = 0.5 * picture[inside] + 0.5 * np.array(COLORS[structure])
    return tinted


def curves_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of the losses and of the validation Dice over the steps. Needs matplotlib.

    Args:
        rows: of ``metrics.csv``; a row may lack columns.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, dice = figure.subplots(1, 2)
    for axes, names in (
        (losses, {"loss_labelled": "labelled slices", "loss_unlabelled": "pseudo-labels"}),
        (dice, {"dice_cnn": "CNN", "dice_transformer": "Transformer", "dice_ensemble": "pair"}),
    ):
        for name, caption in names.items():
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=caption, marker="." * (axes is dice))
        if axes.lines:
            axes.legend()
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    losses.set_title("loss, mean of the two networks")
    dice.set_title("mean Dice per case, validation")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
