from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ctct.errors import ConfigError, InputError
from ctct.inference.segmenter import Segmenter, check_segmentable
from ctct.io.study import Study
from ctct.measurement.overlap import dice_by_structure


def make_study(voxels: np.ndarray) -> Study:
    return Study("case", voxels.astype(np.float32), (1.5, 1.5), 8.0)


def test_every_slice_of_every_frame_comes_back_in_its_place(threshold: Segmenter) -> None:
    voxels = np.zeros((2, 3, 32, 40))
    voxels[1, 2, 5:8, 6:9] = 200
    threshold.batch = 4
    seen: list[int] = []
    segmentation = threshold.segment(make_study(voxels), on_slices=seen.append)
    assert segmentation.labels.shape == segmentation.disagreement.shape == voxels.shape
    assert (segmentation.labels == np.where(voxels > 0, 3, 0)).all()
    assert threshold.runtime.batches == [4, 2]  # 6 slices, the last batch not padded
    assert seen == [4, 6]


def test_clean_up_can_be_switched_off(threshold: Segmenter) -> None:
    voxels = np.zeros((1, 1, 32, 32))
    voxels[0, 0, 5:8, 5:8] = voxels[0, 0, 20, 20] = 200
    study = make_study(voxels)
    assert threshold.segment(study).labels[0, 0, 20, 20] == 0
    assert threshold.segment(study, clean_up=False).labels[0, 0, 20, 20] == 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v[..., :1, :1], r"1×1 pixels, expected at least 32×32"),
        (lambda v: np.full_like(v, 7), r"every voxel is 7"),
        (lambda v: np.where(v == v.max(), np.nan, v), r"1 of 1024 voxels are NaN or infinite"),
        (lambda v: np.where(v == v.max(), np.inf, v), r"1 of 1024 voxels are NaN or infinite"),
    ],
)
def test_images_no_network_can_make_sense_of(
    spoil: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    voxels = np.arange(1024.0).reshape(1, 1, 32, 32)
    with pytest.raises(InputError, match=message):
        check_segmentable(make_study(spoil(voxels)))


def test_batch_must_be_positive(threshold: Segmenter) -> None:
    with pytest.raises(ConfigError, match="got 0"):
        Segmenter(threshold.model, threshold.runtime, batch=0)


def test_the_bundled_model_finds_the_synthetic_heart(cine: tuple[Study, np.ndarray]) -> None:
    """The smoke test of the whole chain: mean Dice of the sample at least 0.80."""
    import ctct

    study, truth = cine
    labels = ctct.load_model(device="cpu").segment(study).labels
    dice = [dice_by_structure(own, true) for own, true in zip(labels, truth, strict=True)]
    assert np.mean([list(d.values()) for d in dice]) >= 0.80
