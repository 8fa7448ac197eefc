"""The viewer: a self-contained page whose sliders work without the server."""

from __future__ import annotations

import base64
import gzip
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from ctct.demo.modules import join_modules
from ctct.inference.segmentation import Segmentation
from ctct.labels import VALUE
from ctct.measurement.volumes import Measurements
from ctct.report.html import render
from ctct.report.montage import FULL, heart_square

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
    edit: Mapping[str, Any] | None = None,
) -> Markup:
    """The viewer as an ``iframe`` that can neither see the page around it nor load anything."""
    page = viewer_page(segmentation, measurements, layers, edit)
    return render("iframe.html", "ctct.demo", page=page)


def viewer_page(
    segmentation: Segmentation,
    measurements: Measurements,
    layers: Mapping[str, Array] | None = None,
    edit: Mapping[str, Any] | None = None,
) -> Markup:
    """The page as HTML: pictures, labels, volumes and the script that draws them.

    Args:
        segmentation: image and labels.
        measurements: of these labels.
        layers: up to four label maps (T, Z, H, W) by name; the first is that of ``segmentation``.
        edit: what :func:`ctct.demo.editing.edit_data` gives, so that the labels can be edited; not
            offered for scans of which not every pixel is sent.
    """
    study = segmentation.study
    names, maps = zip(*(layers or {"Labels": segmentation.labels}).items(), strict=True)
    slices = encode_slices(segmentation, maps)
    data = {
        "frames": study.frames,
        "slices": study.slices,
        "size": slices.size,
        "aspect": slices.aspect,
        "pngs": [base64.b64encode(png).decode() for png in slices.pngs],
        "labels": base64.b64encode(slices.labels).decode(),
        "ed": measurements.ed,
        "es": measurements.es,
        "volumesMl": [
            {VALUE[s]: ml if math.isfinite(ml) else None for s, ml in frame.volume_ml.items()}
            for frame in measurements.frames
        ],
        "layers": names,
        "disagreement": bool(np.isfinite(segmentation.disagreement).any()),
        "opaque_from": FULL,
        "edit": None,
        "too_large": edit is not None and slices.step > 1,
    }
    if edit is not None and slices.step == 1:
        data["edit"] = {**edit, "file": {**edit["file"], "box": slices.box}}
    script = Markup(join_modules("viewer_page"))
    return render("viewer.html", "ctct.demo", data=data, script=script)


@dataclass(frozen=True)
class EncodedSlices:
    """The slices of a scan, cropped to the heart.

    Attributes:
        pngs: T·Z pictures, frame after frame, with gray values as red and disagreement as blue.
        labels: the label maps, packed into one by :func:`pack_labels` and compressed with gzip: a
            browser may change colors, but not these.
        size: rows and columns of each.
        aspect: height of a pixel over its width.
        box: rows and columns of the scan that are shown, each (first, end).
        step: every so manyth row and column is there.
    """

    pngs: tuple[bytes, ...]
    labels: bytes
    size: tuple[int, int]
    aspect: float
    box: dict[str, tuple[int, int]]
    step: int


def encode_slices(
    segmentation: Segmentation, maps: Sequence[Array] = (), max_pixels: int | None = None
) -> EncodedSlices:
    """Encode all slices of a segmentation.

    Args:
        segmentation: image and labels.
        maps: up to four label maps (T, Z, H, W) of the image; those of ``segmentation`` where left
            out.
        max_pixels: of all slices together, :data:`MAX_PIXELS` where left out; larger scans are
            subsampled.
    """
    study = segmentation.study
    rows, columns = find_heart(segmentation)
    gray = scale_intensities(study.voxels[..., rows, columns])
    step = math.ceil(math.sqrt(gray.size / (max_pixels or MAX_PIXELS)))
    shown = (..., rows, columns)
    labels = pack_labels([a[shown] for a in maps or (segmentation.labels,)])
    channels = np.stack(
        [gray, np.zeros_like(gray), scale_disagreement(segmentation.disagreement[shown])], axis=-1
    )[:, :, ::step, ::step]  # (T, Z, H, W, 3)
    row_mm, column_mm = study.spacing_mm
    height, width = study.voxels.shape[2:]
    return EncodedSlices(
        tuple(encode_png(image) for frame in channels for image in frame),
        gzip.compress(labels[..., ::step, ::step].tobytes(), 6, mtime=0),
        (channels.shape[2], channels.shape[3]),
        row_mm / column_mm,
        {"rows": rows.indices(height)[:2], "columns": columns.indices(width)[:2]},
        step,
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
