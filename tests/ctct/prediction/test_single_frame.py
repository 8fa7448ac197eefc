from __future__ import annotations

import json

import numpy as np

from ctct.prediction.single_frame import SingleFrame


def test_labels_and_picture_survive_json() -> None:
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1, 2, 3] = 3
    voxels = np.full((2, 3, 4), 100, np.float32)
    voxels[0] = 50
    frame = SingleFrame.from_json(json.loads(json.dumps(SingleFrame.of(labels, voxels).to_json())))
    np.testing.assert_array_equal(frame.labels, labels)
    assert frame.picture is not None
    assert (frame.picture[0] == 0).all()  # the darkest of the scan
    assert (frame.picture[1] == 255).all()  # the brightest


def test_a_scan_that_was_not_read_has_no_picture() -> None:
    labels = np.zeros((2, 3, 4), np.uint8)
    assert SingleFrame.from_json(SingleFrame.of(labels, None).to_json()).picture is None


def test_a_scan_of_one_gray_value_has_a_picture() -> None:
    frame = SingleFrame.of(np.zeros((2, 3, 4), np.uint8), np.ones((2, 3, 4), np.float32))
    assert frame.picture is not None
    assert not frame.picture.any()
