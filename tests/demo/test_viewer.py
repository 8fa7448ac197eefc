"""The data that the viewer draws."""

from __future__ import annotations

import gzip
import html
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests_support import phantom

from ctct.inference.segmentation import Segmentation
from ctct.io.study import Study
from ctct.labels import VALUE
from ctct.measurement.volumes import FrameVolumes, frame_volumes, measure_frames

viewer = pytest.importorskip("ctct.demo.viewer")


def beating(height: int = 96, width: int = 100) -> Segmentation:
    """Two frames of three slices of a round heart in the middle, pixels twice as high as wide."""
    labels = np.stack([phantom(height, width)] * 2)
    voxels = np.random.default_rng(0).normal(100, 10, labels.shape).astype(np.float32)
    study = Study("phantom", voxels, (2.0, 1.0), 8.0)
    return Segmentation(study, labels, np.full(labels.shape, 0.4, np.float16))


def unpacked(slices: Any, segmentation: Segmentation) -> np.ndarray:
    """The packed labels that a browser gets: (T, Z, H, W)."""
    shape = (*segmentation.labels.shape[:2], *slices.size)
    return np.frombuffer(gzip.decompress(slices.labels), np.uint8).reshape(shape)


def test_a_picture_gives_back_labels_and_disagreement() -> None:
    segmentation = beating()
    rows, columns = viewer.find_heart(segmentation)
    slices = viewer.encode_slices(segmentation)
    assert len(slices.pngs) == 2 * 3
    assert slices.aspect == 2.0
    image = np.asarray(Image.open(io.BytesIO(slices.pngs[4])))  # frame 1, slice 1
    assert image.shape == (*slices.size, 3)
    assert np.all(image[..., 2] == 102)  # 0.4 of 255
    labels = unpacked(slices, segmentation)
    np.testing.assert_array_equal(labels, segmentation.labels[..., rows, columns])
    assert np.count_nonzero(labels) == np.count_nonzero(segmentation.labels)
    whole = np.zeros_like(segmentation.labels)
    whole[..., slice(*slices.box["rows"]), slice(*slices.box["columns"])] = labels
    np.testing.assert_array_equal(whole, segmentation.labels)


def test_each_of_several_label_maps_has_two_bits() -> None:
    first, second, third = (np.array(a, np.uint8) for a in ([0, 1, 3], [3, 2, 0], [1, 0, 2]))
    both = viewer.pack_labels([first, second, third])
    assert both.tolist() == [0 + 4 * 3 + 16 * 1, 1 + 4 * 2, 3 + 16 * 2]
    assert first.tolist() == [0, 1, 3]


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    data: dict[str, Any] = json.loads(text)
    return data


def test_a_scan_of_which_some_pixels_are_left_out_cannot_be_edited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmentation = beating()
    measurements = measure_frames(frame_volumes(segmentation.labels, 0.01))
    edit = {"file": {"shape": segmentation.labels.shape}}
    data = data_of(viewer.viewer_page(segmentation, measurements, None, edit))
    # The heart is 17 rows or 34 mm high, and the crop half as much again: 12.75 rows around 48.5.
    assert data["edit"]["file"]["box"]["rows"] == [35, 62]
    assert not data["too_large"]
    monkeypatch.setattr(viewer, "MAX_PIXELS", 100)
    data = data_of(viewer.viewer_page(segmentation, measurements, None, edit))
    assert data["edit"] is None
    assert data["too_large"]


def test_no_heart_is_the_whole_slice() -> None:
    segmentation = beating()
    segmentation.labels[:] = VALUE["background"]
    assert viewer.encode_slices(segmentation).size == (96, 100)


def test_large_scans_are_subsampled() -> None:
    segmentation = beating()
    segmentation.labels[:] = VALUE["background"]
    whole = 2 * 3 * 96 * 100
    assert viewer.encode_slices(segmentation, max_pixels=whole).size == (96, 100)
    assert viewer.encode_slices(segmentation, max_pixels=whole // 4).size == (48, 50)


def test_few_bright_voxels_do_not_darken_the_others() -> None:
    voxels = np.arange(1001, dtype=np.float32)
    gray = viewer.scale_intensities(voxels)
    assert gray[0] == gray[5] == 0  # the 0.5th percentile
    assert gray[998] == gray[1000] == 255  # the 99.8th
    assert viewer.scale_intensities(np.zeros(4, np.float32)).tolist() == [0, 0, 0, 0]


def test_an_unknown_disagreement_is_zero() -> None:
    assert viewer.scale_disagreement(np.array([np.nan, 0, 1], np.float16)).tolist() == [0, 0, 255]


def test_the_page_has_the_data_that_its_script_reads() -> None:
    segmentation = beating()
    volumes = [FrameVolumes("x", t, {"RV": 1.0, "MYO": 2.0, "LV": 3.0 - t}) for t in range(2)]
    odd = "</script>&<b>"
    layers = {"Labels": segmentation.labels, odd: segmentation.labels}
    page = viewer.viewer_page(segmentation, measure_frames(volumes), layers)
    data = data_of(page)
    assert data["layers"] == ["Labels", odd]
    assert len(data["pngs"]) == data["frames"] * data["slices"] == 6
    assert odd not in page
    assert data["edit"] is None
    assert not data["too_large"]
    iframe = viewer.viewer_iframe(segmentation, measure_frames(volumes), layers)
    (srcdoc,) = re.findall(r'srcdoc="([^"]*)"></iframe>', iframe)
    assert html.unescape(srcdoc) == page
