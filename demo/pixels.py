"""What the viewer draws: every slice of every frame as one small PNG, made once.

A pixel of it holds, in red, green and blue, the grey value, the labels and the disagreement. PNG is
lossless and browsers hand out its bytes unchanged, so labels stay exact. Of up to four label maps,
each has two bits.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from ctct.inference.segmenter import Segmentation
from ctct.report.montage import heart_square

#: Room around the heart, as a share of its larger side.
MARGIN = 0.5

#: Pixels of all slices that a browser can be sent; of more, every second or third one.
MOST_PIXELS = 24_000_000

#: Percentiles of the intensities that become black and white before any windowing.
DARKEST, BRIGHTEST = 0.5, 99.8

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Slices:
    """The slices around the heart.

    Attributes:
        pngs: T·Z of them, frame after frame.
        size: rows and columns of each.
        aspect: height of a pixel over its width.
    """

    pngs: tuple[bytes, ...]
    size: tuple[int, int]
    aspect: float


def viewer_slices(
    segmentation: Segmentation, others: Sequence[Array] = (), most_pixels: int = MOST_PIXELS
) -> Slices:
    """All slices of a segmentation, cut to the heart.

    Args:
        segmentation: image and labels.
        others: up to three other label maps (T, Z, H, W) of the image.
        most_pixels: of all slices together; of more, every second or third one is left.
    """
    study = segmentation.study
    rows, columns = heart_window(segmentation)
    channels = np.stack(
        [
            grey_values(study.voxels[..., rows, columns]),
            packed([a[..., rows, columns] for a in (segmentation.labels, *others)]),
            share_of_255(segmentation.disagreement[..., rows, columns]),
        ],
        axis=-1,
    )  # (T, Z, H, W, 3)
    step = math.ceil(math.sqrt(channels[..., 0].size / most_pixels))
    channels = channels[:, :, ::step, ::step]
    row_mm, column_mm = study.spacing_mm
    return Slices(
        tuple(png(image) for frame in channels for image in frame),
        (channels.shape[2], channels.shape[3]),
        row_mm / column_mm,
    )


def heart_window(segmentation: Segmentation) -> tuple[slice, slice]:
    """Rows and columns around the heart of all frames; all of them where none was found."""
    study, labels = segmentation.study, segmentation.labels
    if not labels.any():
        return slice(None), slice(None)
    crop = heart_square(labels, study.spacing_mm, MARGIN)
    return (
        slice(max(math.floor(crop.upper), 0), math.ceil(crop.lower)),
        slice(max(math.floor(crop.left), 0), math.ceil(crop.right)),
    )


def grey_values(voxels: npt.NDArray[np.float32]) -> Array:
    """Intensities as 0…255, from the :data:`DARKEST` to the :data:`BRIGHTEST` percentile."""
    low, high = np.percentile(voxels, (DARKEST, BRIGHTEST))
    scaled = (voxels - low) * (255 / max(high - low, 1e-12))
    grey: Array = scaled.clip(0, 255).round().astype(np.uint8)
    return grey


def packed(label_maps: Sequence[Array]) -> Array:
    """Label maps, 0…3, as one: two bits each, those of the first the lowest."""
    both: Array = label_maps[0].copy()
    for n, labels in enumerate(label_maps[1:], 1):
        both |= labels << np.uint8(2 * n)
    return both


def share_of_255(disagreement: npt.NDArray[np.floating]) -> Array:
    """Disagreement 0…1 as 0…255; 0 where it is not known, as of a network alone."""
    known = np.nan_to_num(disagreement.astype(np.float32))
    return (known.clip(0, 1) * 255).round().astype(np.uint8)


def png(image: Array) -> bytes:
    """PNG of an image (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=3)
    return file.getvalue()
