"""Contours on the slices of a study, base to apex, as one picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageDraw, ImageFont

from ctct.io.study import Study
from ctct.labels import COLORS, LV, MYO, STRUCTURES, VALUE
from ctct.measurement.regions import APEX, BASE, region_of_slices

#: Pixels per side of the tile of a slice, and height of the strip under the tiles.
TILE, STRIP = 192, 28

#: Width of an outline in pixels of the picture.
LINE = 2

#: Color of disagreement, and from how much on it is opaque.
RED, FULL = (230, 30, 30), 0.8

#: Room left around the heart, as a share of its larger side.
MARGIN = 0.35

Array = npt.NDArray[np.uint8]


def montage_png(study: Study, labels: Array, rows: Mapping[str, int], max_slices: int = 6) -> bytes:
    """PNG of the slices of some frames, cropped to the heart, with the outline of each structure.

    Args:
        study: the image.
        labels: its label map (T, Z, H, W).
        rows: caption and frame number of each row of tiles, from the top; for instance
            ``{"ED, frame 0": 0, "ES, frame 7": 7}``.
        max_slices: of more slices, so many are shown, evenly spaced. The base is on the left,
            whatever the order of the slices in the file.
    """
    return _encode(_draw_contours(study, labels, rows, max_slices), "PNG", optimize=True)


def montage_jpeg(
    study: Study, labels: Array, rows: Mapping[str, int], max_slices: int = 9
) -> bytes:
    """The same as JPEG, a third of the size, for a page of many patients."""
    return _encode(_draw_contours(study, labels, rows, max_slices), "JPEG", quality=80)


def disagreement_jpeg(
    study: Study,
    labels: Array,
    disagreement: npt.NDArray[np.floating],
    rows: Mapping[str, int],
    max_slices: int = 9,
) -> bytes:
    """The same slices with the disagreement (T, Z, H, W) in red, opaque from :data:`FULL` on."""
    heat = (np.minimum(disagreement.astype(np.float32) / FULL, 1) * 255).astype(np.uint8)

    def paint(crop: HeartBox, gray: Array, frame: int, z: int) -> Array:
        share = crop.enlarge(heat[frame, z])[..., None] / 255
        mixed = (1 - share) * crop.enlarge(gray)[..., None] + share * np.array(RED)
        painted: Array = mixed.round().astype(np.uint8)
        return painted

    return _encode(_draw_tiles(study, labels, rows, max_slices, paint), "JPEG", quality=75)


@dataclass(frozen=True)
class HeartBox:
    """A square in mm around the heart; its edges in pixels of the slice."""

    left: float
    upper: float
    right: float
    lower: float

    def enlarge(self, slice_: Array) -> Array:
        """The part of a slice (H, W) inside the square, as (TILE, TILE)."""
        across, down = (self.right - self.left) / TILE, (self.lower - self.upper) / TILE
        # Maps the edges of output pixels to those of input pixels.
        affine = (across, 0, self.left, 0, down, self.upper)
        image = Image.fromarray(slice_).transform(
            (TILE, TILE), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC
        )
        return np.asarray(image, np.uint8)


Painter = Callable[[HeartBox, Array, int, int], Array]


def _draw_tiles(
    study: Study, labels: Array, rows: Mapping[str, int], max_slices: int, paint: Painter
) -> Image.Image:
    """A row per frame, a tile per slice; ``paint`` gets gray values, frame and slice number."""
    shown = np.unique(
        np.linspace(0, study.slices - 1, min(max_slices, study.slices)).round().astype(int)
    )
    regions = [r for r in region_of_slices(labels[next(iter(rows.values()))]) if r]
    if regions and (regions[0], regions[-1]) == (APEX, BASE):
        shown = shown[::-1]
    crop = heart_square(labels, study.spacing_mm)
    low, high = np.percentile(study.voxels, (1, 99))
    scale = 255 / max(high - low, 1e-12)
    canvas = Image.new("RGB", (TILE * len(shown), TILE * len(rows)))
    font = ImageFont.load_default(16)
    draw = ImageDraw.Draw(canvas)
    for top, (caption, frame) in enumerate(rows.items()):
        for left, z in enumerate(shown):
            gray = ((study.voxels[frame, z] - low) * scale).clip(0, 255).astype(np.uint8)
            tile = Image.fromarray(paint(crop, gray, frame, int(z)))
            canvas.paste(tile, (left * TILE, top * TILE))
        draw.text((6, top * TILE + 4), caption, "white", font, stroke_width=2, stroke_fill="black")
    return canvas


def _draw_contours(
    study: Study, labels: Array, rows: Mapping[str, int], max_slices: int
) -> Image.Image:
    """Tiles with outlines, and under them a strip with the legend of the colors."""

    def paint(crop: HeartBox, gray: Array, frame: int, z: int) -> Array:
        return _draw_outlines(crop, gray, labels[frame, z])

    tiles = _draw_tiles(study, labels, rows, max_slices, paint)
    canvas = Image.new("RGB", (tiles.width, tiles.height + STRIP))
    canvas.paste(tiles)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(16)
    for n, structure in enumerate(STRUCTURES):
        x, y = 6 + 80 * n, tiles.height
        draw.rectangle((x, y + 8, x + 12, y + 20), COLORS[structure])
        draw.text((x + 18, y + 4), structure, "white", font)
    return canvas


def _encode(image: Image.Image, kind: str, **settings: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def heart_square(
    labels: Array, spacing_mm: tuple[float, float], margin: float = MARGIN
) -> HeartBox:
    """The square around the labels (T, Z, H, W) of all frames; it may reach beyond the slice."""
    rows, columns = (np.flatnonzero(labels.any(axis=axes)) for axes in ((0, 1, 3), (0, 1, 2)))
    if not rows.size:  # no label: the whole slice
        rows, columns = np.arange(labels.shape[2]), np.arange(labels.shape[3])
    spans = [
        (span[0] * mm, (span[-1] + 1) * mm)
        for span, mm in zip((rows, columns), spacing_mm, strict=True)
    ]
    half = (0.5 + margin / 2) * max(high - low for low, high in spans)
    (upper, lower), (left, right) = (
        (((low + high) / 2 - half) / mm, ((low + high) / 2 + half) / mm)
        for (low, high), mm in zip(spans, spacing_mm, strict=True)
    )
    return HeartBox(left, upper, right, lower)


def _draw_outlines(crop: HeartBox, gray: Array, labels: Array) -> Array:
    """One slice (H, W), cropped and enlarged, with the smooth outline of each structure."""
    picture = np.repeat(crop.enlarge(gray)[..., None], 3, axis=2)
    for structure in STRUCTURES:
        # The outline of the myocardium is the epicardium; its inner edge is the LV's outline.
        inside = np.isin(
            labels, [VALUE[s] for s in ((MYO, LV) if structure == MYO else (structure,))]
        )
        mask = crop.enlarge(inside.astype(np.uint8) * 255) >= 128
        picture[mask & ~_erode(mask)] = COLORS[structure]
    return picture


def _erode(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Remove the outermost :data:`LINE` pixels of a mask (H, W).

    The mask is taken to continue beyond the edge of the picture, which is no outline.
    """
    eroded: npt.NDArray[np.bool_] = np.pad(mask, LINE, constant_values=True)
    for axis in (0, 1):
        eroded = np.logical_and.reduce(sliding_window_view(eroded, 2 * LINE + 1, axis), axis=-1)
    return eroded
