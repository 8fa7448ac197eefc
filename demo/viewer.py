"""The viewer: a self-contained page whose sliders work without the server."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from ctct.inference.segmentation import Segmentation
from ctct.labels import BACKGROUND, COLORS, LV, MYO, RV, STRUCTURES, VALUE
from ctct.measurement.volumes import Measurements
from ctct.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from ctct.report.html import render
from ctct.report.montage import FULL, RED, heart_square
from ctct.report.patient_page import draw_volume_curve

#: The labels inside each outline. That of the myocardium is the epicardium; its inner edge is the
#: outline of the LV.
OUTLINES = {RV: (RV,), MYO: (MYO, LV), LV: (LV,)}
#: Duration of a cardiac cycle on the page, in seconds.
CYCLE_S = 1.0
#: Room around the heart, as a share of its larger side.
MARGIN = 0.5
#: Largest number of pixels, over all slices, sent to a browser; of larger scans, every second or
#: third row and column.
MAX_PIXELS = 24_000_000
#: Percentiles of the intensities that are shown in black and white before level and window.
DARKEST, BRIGHTEST = 0.5, 99.8
Array = npt.NDArray[np.uint8]


def viewer_iframe(
    segmentation: Segmentation,
    measurements: Measurements,
    layers: Mapping[str, Array] | None = None,
) -> Markup:
    """The viewer as an ``iframe`` that can neither see the page around it nor load anything."""
    page = viewer_page(segmentation, measurements, layers)
    return render("iframe.html", "ctct.demo", page=page)


def viewer_page(
    segmentation: Segmentation,
    measurements: Measurements,
    layers: Mapping[str, Array] | None = None,
) -> Markup:
    """The page as HTML: pictures, volume curve and the script that draws them.

    Args:
        segmentation: image and labels.
        measurements: of these labels.
        layers: up to four label maps (T, Z, H, W) by name; the first is that of ``segmentation``.
    """
    study = segmentation.study
    names, maps = zip(*(layers or {"Labels": segmentation.labels}).items(), strict=True)
    slices = encode_slices(segmentation, maps[1:])
    data = {
        "frames": study.frames,
        "slices": study.slices,
        "size": slices.size,
        "aspect": slices.aspect,
        "pngs": [base64.b64encode(png).decode() for png in slices.pngs],
        "ed": measurements.ed,
        "es": measurements.es,
        "slice": middle_slice(segmentation),
        "frames_per_second": study.frames / CYCLE_S,
        "layers": names,
        "disagreement": bool(np.isfinite(segmentation.disagreement).any()),
        "red": RED,
        "opaque_from": FULL,
        "colors": [(0, 0, 0), *(COLORS[s] for s in STRUCTURES)],
        "outlines": [
            {"color": VALUE[s], "labels": [VALUE[part] for part in OUTLINES[s]]} for s in STRUCTURES
        ],
        "legend": [{"name": s, "color": COLORS[s]} for s in STRUCTURES],
        "curve": {
            "left": LEFT,
            "width": WIDTH - LEFT - RIGHT,
            "top": TOP,
            "bottom": HEIGHT - BOTTOM,
        },
    }
    curve = draw_volume_curve(measurements) if len(measurements.frames) > 2 else ""
    return render("viewer.html", "ctct.demo", data=data, curve=curve)


def middle_slice(segmentation: Segmentation) -> int:
    """The slice in the middle of the heart, or of the stack where nothing is labelled."""
    labelled = np.flatnonzero((segmentation.labels != VALUE[BACKGROUND]).any(axis=(0, 2, 3)))
    return int(labelled[len(labelled) // 2]) if labelled.size else segmentation.study.slices // 2


@dataclass(frozen=True)
class EncodedSlices:
    """The slices of a scan, cropped to the heart.

    Attributes:
        pngs: T·Z pictures, frame after frame, with gray values, labels and disagreement as red,
            green and blue.
        size: rows and columns of each.
        aspect: height of a pixel over its width.
    """

    pngs: tuple[bytes, ...]
    size: tuple[int, int]
    aspect: float


def encode_slices(
    segmentation: Segmentation, others: Sequence[Array] = (), max_pixels: int = MAX_PIXELS
) -> EncodedSlices:
    """Encode all slices of a segmentation.

    Args:
        segmentation: image and labels.
        others: up to three other label maps (T, Z, H, W) of the image.
        max_pixels: of all slices together; larger scans are subsampled.
    """
    study = segmentation.study
    rows, columns = find_heart(segmentation)
    channels = np.stack(
        [
            scale_intensities(study.voxels[..., rows, columns]),
            pack_labels([a[..., rows, columns] for a in (segmentation.labels, *others)]),
            scale_disagreement(segmentation.disagreement[..., rows, columns]),
        ],
        axis=-1,
    )  # (T, Z, H, W, 3)
    step = math.ceil(math.sqrt(channels[..., 0].size / max_pixels))
    channels = channels[:, :, ::step, ::step]
    row_mm, column_mm = study.spacing_mm
    return EncodedSlices(
        tuple(encode_png(image) for frame in channels for image in frame),
        (channels.shape[2], channels.shape[3]),
        row_mm / column_mm,
    )


def find_heart(segmentation: Segmentation) -> tuple[slice, slice]:
    """Rows and columns around the labels of all frames; all of them where nothing is labelled."""
    study, labels = segmentation.study, segmentation.labels
    if not labels.any():
        return slice(None), slice(None)
    crop = heart_square(labels, study.spacing_mm, MARGIN)
    return (
        slice(max(math.floor(crop.upper), 0), math.ceil(crop.lower)),
        slice(max(math.floor(crop.left), 0), math.ceil(crop.right)),
    )


def scale_intensities(voxels: npt.NDArray[np.float32]) -> Array:
    """Map the percentiles from :data:`DARKEST` to :data:`BRIGHTEST` to 0…255."""
    low, high = np.percentile(voxels, (DARKEST, BRIGHTEST))
    scaled = (voxels - low) * (255 / max(high - low, 1e-12))
    gray: Array = scaled.clip(0, 255).round().astype(np.uint8)
    return gray


def pack_labels(label_maps: Sequence[Array]) -> Array:
    """Pack up to four label maps with values 0…3 into one, two bits each, the first lowest."""
    packed: Array = label_maps[0].copy()
    for n, labels in enumerate(label_maps[1:], 1):
        packed |= labels << np.uint8(2 * n)
    return packed


def scale_disagreement(disagreement: npt.NDArray[np.floating]) -> Array:
    """Map disagreement 0…1 to 0…255; NaN, as from a single network, to 0."""
    known = np.nan_to_num(disagreement.astype(np.float32))
    return (known.clip(0, 1) * 255).round().astype(np.uint8)


def encode_png(image: Array) -> bytes:
    """PNG of an image (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=3)
    return file.getvalue()
