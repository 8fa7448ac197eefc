"""The viewer: one self-contained page in which every slider answers without asking the server."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image

from ctct.inference.segmentation import Segmentation
from ctct.labels import BACKGROUND, COLORS, LV, MYO, RV, STRUCTURES, VALUE
from ctct.measurement.volumes import Measurements
from ctct.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from ctct.report.html import Markup
from ctct.report.montage import FULL, heart_square
from ctct.report.patient_page import volume_curve

#: What each outline goes around: that of the myocardium is the epicardium, its inner edge the LV's.
OUTLINES = {RV: (RV,), MYO: (MYO, LV), LV: (LV,)}
#: A cycle is shown in this time, whatever the number of its frames.
CYCLE_S = 1.0
#: Room around the heart, as a share of its larger side.
MARGIN = 0.5
#: Pixels of all slices that a browser can be sent; of more, every second or third one.
MAX_PIXELS = 24_000_000
#: Percentiles of the intensities that become black and white before any windowing.
DARKEST, BRIGHTEST = 0.5, 99.8
Array = npt.NDArray[np.uint8]


def viewer_iframe(
    segmentation: Segmentation,
    measurements: Measurements,
    layers: Mapping[str, Array] | None = None,
) -> Markup:
    """The viewer as an ``iframe`` that can neither see the page around it nor load anything."""
    page = html.escape(viewer_page(segmentation, measurements, layers))
    return Markup(
        f'<iframe class="ctct-viewer" title="Viewer: the beating heart and its labels" '
        f'sandbox="allow-scripts" srcdoc="{page}"></iframe>'
    )


def viewer_page(
    segmentation: Segmentation,
    measurements: Measurements,
    layers: Mapping[str, Array] | None = None,
) -> str:
    """The whole page as HTML: pictures, volume curve and the script that draws them.

    Args:
        segmentation: image and labels.
        measurements: of these labels.
        layers: label maps (T, Z, H, W) to choose from by name; the labels themselves come first.
    """
    study = segmentation.study
    names, maps = zip(*(layers or {"Labels": segmentation.labels}).items(), strict=True)
    slices = viewer_slices(segmentation, maps[1:])
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
    curve = volume_curve(measurements) if len(measurements.frames) > 2 else ""
    return (
        _template()
        .replace("__FULL__", str(FULL))
        .replace("__CURVE__", curve)
        .replace("__DATA__", json.dumps(data).replace("<", "\\u003c"))
    )


def middle_slice(segmentation: Segmentation) -> int:
    """The slice in the middle of the heart; that of the stack where none was found."""
    found = np.flatnonzero((segmentation.labels != VALUE[BACKGROUND]).any(axis=(0, 2, 3)))
    return int(found[len(found) // 2]) if found.size else segmentation.study.slices // 2


@cache
def _template() -> str:
    return (resources.files("ctct.demo") / "viewer.html").read_text("utf-8")


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
    segmentation: Segmentation, others: Sequence[Array] = (), most_pixels: int = MAX_PIXELS
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
            gray_values(study.voxels[..., rows, columns]),
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


def gray_values(voxels: npt.NDArray[np.float32]) -> Array:
    """Intensities as 0…255, from the :data:`DARKEST` to the :data:`BRIGHTEST` percentile."""
    low, high = np.percentile(voxels, (DARKEST, BRIGHTEST))
    scaled = (voxels - low) * (255 / max(high - low, 1e-12))
    gray: Array = scaled.clip(0, 255).round().astype(np.uint8)
    return gray


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
