"""The viewer: one self-contained page in which every slider answers without asking the server."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

import numpy as np
from ctct.demo.pixels import Array, viewer_slices

from ctct.inference.segmenter import Segmentation
from ctct.labels import BACKGROUND, COLOURS, LV, MYO, RV, STRUCTURES, VALUE
from ctct.measurement.volumes import Measurements
from ctct.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from ctct.report.montage import FULL
from ctct.report.page import Markup
from ctct.report.patient import volume_curve

#: What each outline goes around: that of the myocardium is the epicardium, its inner edge the LV's.
OUTLINES = {RV: (RV,), MYO: (MYO, LV), LV: (LV,)}

#: A cycle is shown in this time, whatever the number of its frames.
CYCLE_S = 1.0


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
        "colours": [(0, 0, 0), *(COLOURS[s] for s in STRUCTURES)],
        "outlines": [
            {"colour": VALUE[s], "labels": [VALUE[part] for part in OUTLINES[s]]}
            for s in STRUCTURES
        ],
        "legend": [{"name": s, "colour": COLOURS[s]} for s in STRUCTURES],
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
