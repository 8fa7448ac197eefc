"""Contours on the slices of a study, base to apex, as one picture."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageDraw, ImageFont

from ctct.io.study import Study
from ctct.labels import COLOURS, LV, MYO, STRUCTURES, VALUE

#: Pixels a side of one slice's tile, and of the strip under the tiles.
TILE, STRIP = 192, 28

#: Width of an outline in pixels of the picture.
LINE = 2

#: Room left around the heart, as a share of its larger side.
MARGIN = 0.35


def montage_png(
    study: Study, labels: npt.NDArray[np.uint8], rows: Mapping[str, int], most: int = 6
) -> bytes:
    """PNG of the slices of some frames, cropped to the heart, with the outline of each structure.

    Args:
        study: the image.
        labels: (T, Z, H, W), its label map.
        rows: caption to frame number, a row of tiles each, from the top; for instance
            ``{"ED, frame 0": 0, "ES, frame 7": 7}``.
        most: largest number of slices shown; of more, evenly spaced ones.
    """
    return _encoded(montage(study, labels, rows, most), "PNG", optimize=True)


def montage_jpeg(
    study: Study, labels: npt.NDArray[np.uint8], rows: Mapping[str, int], most: int = 9
) -> bytes:
    """The same as JPEG, a third the size: for a page of many patients."""
    return _encoded(montage(study, labels, rows, most), "JPEG", quality=80)


def montage(
    study: Study, labels: npt.NDArray[np.uint8], rows: Mapping[str, int], most: int
) -> Image.Image:
    """The picture of :func:`montage_png`."""
    shown = np.unique(np.linspace(0, study.slices - 1, min(most, study.slices)).round().astype(int))
    box = _heart_box(labels, study.spacing_mm)
    low, high = np.percentile(study.voxels, (1, 99))
    scale = 255 / max(high - low, 1e-12)
    canvas = Image.new("RGB", (TILE * len(shown), TILE * len(rows) + STRIP))
    font = ImageFont.load_default(16)
    draw = ImageDraw.Draw(canvas)
    for top, (caption, frame) in enumerate(rows.items()):
        for left, z in enumerate(shown):
            grey = ((study.voxels[frame, z] - low) * scale).clip(0, 255).astype(np.uint8)
            canvas.paste(_tile(grey, labels[frame, z], box), (left * TILE, top * TILE))
        draw.text((6, top * TILE + 4), caption, "white", font, stroke_width=2, stroke_fill="black")
    x = 6
    for structure in STRUCTURES:
        draw.rectangle((x, TILE * len(rows) + 8, x + 12, TILE * len(rows) + 20), COLOURS[structure])
        draw.text((x + 18, TILE * len(rows) + 4), structure, "white", font)
        x += 80
    return canvas


def _encoded(image: Image.Image, kind: str, **settings: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def _heart_box(
    labels: npt.NDArray[np.uint8], spacing_mm: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Left, upper, right and lower edge, in pixels, of a square (in mm) around every label."""
    rows, columns = (np.flatnonzero(labels.any(axis=axes)) for axes in ((0, 1, 3), (0, 1, 2)))
    if not rows.size:  # nothing found: the whole slice
        rows, columns = np.arange(labels.shape[2]), np.arange(labels.shape[3])
    spans = [
        (span[0] * mm, (span[-1] + 1) * mm)
        for span, mm in zip((rows, columns), spacing_mm, strict=True)
    ]
    half = (0.5 + MARGIN / 2) * max(high - low for low, high in spans)
    (upper, lower), (left, right) = (
        (((low + high) / 2 - half) / mm, ((low + high) / 2 + half) / mm)
        for (low, high), mm in zip(spans, spacing_mm, strict=True)
    )
    return left, upper, right, lower


def _tile(
    grey: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    box: tuple[float, float, float, float],
) -> Image.Image:
    """One slice (H, W), cropped and enlarged, with smooth outlines."""
    left, upper, right, lower = box
    step = ((right - left) / TILE, (lower - upper) / TILE)
    # Affine of the pixel centres: output (x + ½) · step + edge, back at the input's pixel edges.
    affine = (step[0], 0, left, 0, step[1], upper)

    def enlarge(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        image = Image.fromarray(array)
        bicubic = Image.Resampling.BICUBIC
        return np.asarray(image.transform((TILE, TILE), Image.Transform.AFFINE, affine, bicubic))

    picture = np.repeat(enlarge(grey)[..., None], 3, axis=2)
    for structure in STRUCTURES:
        # The outline of the myocardium is the epicardium; its inner edge is the LV's outline.
        inside = np.isin(
            labels, [VALUE[s] for s in ((MYO, LV) if structure == MYO else (structure,))]
        )
        mask = enlarge(inside.astype(np.uint8) * 255) >= 128
        picture[mask & ~_eroded(mask)] = COLOURS[structure]
    return Image.fromarray(picture)


def _eroded(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What is left of a mask (H, W) without its outermost :data:`LINE` pixels.

    The edge of the picture is no outline: beyond it, the mask goes on.
    """
    left: npt.NDArray[np.bool_] = np.pad(mask, LINE, constant_values=True)
    for axis in (0, 1):
        left = np.logical_and.reduce(sliding_window_view(left, 2 * LINE + 1, axis), axis=-1)
    return left
