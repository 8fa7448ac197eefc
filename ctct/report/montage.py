"""Contours on the slices of a study, base to apex, as one picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
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

#: Color of the frame around a slice whose labels are in doubt, and its width in pixels.
AMBER, FRAME = (255, 176, 32), 4

#: Most tiles beside each other, and most slices; of more, so many are shown, evenly spaced.
ACROSS, MAX_SLICES = 12, 48

#: Room left around the heart, as a share of its larger side.
MARGIN = 0.35

Array = npt.NDArray[np.uint8]


#: A pair of numbers: a frame and a slice, or pixels from the left and from the top.
Place = tuple[int, int]


def montage_png(
    study: Study, labels: Array, rows: Mapping[str, int], doubtful: Collection[Place] = ()
) -> bytes:
    """PNG of the slices of some frames, cropped to the heart, with the outline of each structure.

    Each slice has its number, from 0. The base is on the left, whatever the order of the slices in
    the file.

    Args:
        study: the image.
        labels: its label map (T, Z, H, W).
        rows: caption and frame number of each row of tiles, from the top; for instance
            ``{"ED, frame 0": 0, "ES, frame 7": 7}``.
        doubtful: frame and number of the slices to mark, as their labels are in doubt.
    """
    return _encode(_draw_contours(study, labels, rows, doubtful), "PNG", optimize=True)


def montage_jpeg(
    study: Study, labels: Array, rows: Mapping[str, int], doubtful: Collection[Place] = ()
) -> bytes:
    """The same as JPEG, a third of the size, for a page of many patients."""
    return _encode(_draw_contours(study, labels, rows, doubtful), "JPEG", quality=80)


def disagreement_jpeg(
    study: Study,
    labels: Array,
    disagreement: npt.NDArray[np.floating],
    rows: Mapping[str, int],
) -> bytes:
    """The same slices with the disagreement (T, Z, H, W) in red, opaque from :data:`FULL` on."""
    heat = (np.minimum(disagreement.astype(np.float32) / FULL, 1) * 255).astype(np.uint8)

    def paint(crop: HeartBox, gray: Array, frame: int, z: int) -> Array:
        share = crop.enlarge(heat[frame, z])[..., None] / 255
        mixed = (1 - share) * crop.enlarge(gray)[..., None] + share * np.array(RED)
        painted: Array = mixed.round().astype(np.uint8)
        return painted

    canvas, draw = _add_strip(_draw_tiles(study, labels, rows, paint))
    top = canvas.height - STRIP
    draw.text((6, top + 4), "0", "white", _font())
    for x in range(100):
        shade = tuple(round(128 + x / 99 * (red - 128)) for red in RED)
        draw.line((20 + x, top + 8, 20 + x, top + 20), shade)
    draw.text((126, top + 4), f"{FULL:g}", "white", _font())
    return _encode(canvas, "JPEG", quality=75)


def stack_jpegs(pictures: Sequence[bytes]) -> bytes:
    """Pictures below one another, as one JPEG; empty without any.

    Each but the last one loses its strip with the legend.
    """
    if len(pictures) < 2:
        return b"".join(pictures)
    images: list[Image.Image] = [Image.open(io.BytesIO(picture)) for picture in pictures]
    images = [i.crop((0, 0, i.width, i.height - STRIP)) for i in images[:-1]] + images[-1:]
    canvas = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)))
    top = 0
    for image in images:
        canvas.paste(image, (0, top))
        top += image.height
    return _encode(canvas, "JPEG", quality=80)


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
    study: Study,
    labels: Array,
    rows: Mapping[str, int],
    paint: Painter,
    doubtful: Collection[Place] = (),
) -> Image.Image:
    """The tiles of each frame, in lines; ``paint`` gets gray values, frame and slice number."""
    shown = _order_slices(labels[next(iter(rows.values()))])
    lines = -(-len(shown) // ACROSS)
    across = -(-len(shown) // lines)
    crop = heart_square(labels, study.spacing_mm)
    low, high = np.percentile(study.voxels, (1, 99))
    scale = 255 / max(high - low, 1e-12)
    canvas = Image.new("RGB", (TILE * across, TILE * lines * len(rows)))
    draw = ImageDraw.Draw(canvas)

    def write(at: Place, text: str, color: str | tuple[int, int, int] = "white") -> None:
        draw.text(at, text, color, _font(24), stroke_width=3, stroke_fill="black")

    for row, (caption, frame) in enumerate(rows.items()):
        for n, z in enumerate(shown):
            left, top = n % across * TILE, (row * lines + n // across) * TILE
            gray = ((study.voxels[frame, z] - low) * scale).clip(0, 255).astype(np.uint8)
            canvas.paste(Image.fromarray(paint(crop, gray, frame, z)), (left, top))
            number = (left + 8, top + TILE - 36)
            if (frame, z) in doubtful:
                corner = (left + TILE - 1, top + TILE - 1)
                draw.rectangle(((left, top), corner), outline=AMBER, width=FRAME)
                write(number, f"{z} ?", AMBER)
            else:
                write(number, str(z))
        write((8, row * lines * TILE + 6), caption)
    return canvas


def _order_slices(labels: Array) -> list[int]:
    """The slices to show of labels (Z, H, W): all, or some of very many; the base is first."""
    shown = np.linspace(0, len(labels) - 1, min(MAX_SLICES, len(labels))).round().astype(int)
    regions = [region for region in region_of_slices(labels) if region]
    is_upside_down = bool(regions) and (regions[0], regions[-1]) == (APEX, BASE)
    order: list[int] = shown[::-1].tolist() if is_upside_down else shown.tolist()
    return order


def _font(size: int = 16) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _add_strip(tiles: Image.Image) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """The tiles with a black strip below, and what draws on it."""
    canvas = Image.new("RGB", (tiles.width, tiles.height + STRIP))
    canvas.paste(tiles)
    return canvas, ImageDraw.Draw(canvas)


def _draw_contours(
    study: Study, labels: Array, rows: Mapping[str, int], doubtful: Collection[Place]
) -> Image.Image:
    """Tiles with outlines, and under them a strip with the legend of the colors."""

    def paint(crop: HeartBox, gray: Array, frame: int, z: int) -> Array:
        return _draw_outlines(crop, gray, labels[frame, z])

    canvas, draw = _add_strip(_draw_tiles(study, labels, rows, paint, doubtful))
    y, font = canvas.height - STRIP, _font()
    for n, structure in enumerate(STRUCTURES):
        x = 6 + 80 * n
        draw.rectangle((x, y + 8, x + 12, y + 20), COLORS[structure])
        draw.text((x + 18, y + 4), structure, "white", font)
    if study.slices > MAX_SLICES:
        text = f"{MAX_SLICES} of {study.slices} slices"
        draw.text((canvas.width - 6, y + 4), text, "white", font, anchor="ra")
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
