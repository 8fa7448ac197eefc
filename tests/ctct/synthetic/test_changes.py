"""The same heart stored in another way covers the same place with the same volume."""

from __future__ import annotations

import numpy as np
import pytest
from tests_support import phantom

from ctct.io.study import Study
from ctct.synthetic.changes import CHANGES, mirror, resample, resampling_weights, turn


@pytest.fixture(scope="module")
def study() -> Study:
    """Ones in the LV of a phantom, with pixels that are not square."""
    mask = (phantom(60, 80, 2) == 3).astype(np.float32)
    return Study("scan", mask[None], (1.5, 1.25), 8.0, affine=np.diag([-1.25, 1.5, 8.0, 1.0]))


def test_weights_by_hand() -> None:
    # New pixels lie at -0.25, 0.25, 0.75 and 1.25 of the old; outside, the nearest counts.
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(resampling_weights(2, 0.5), expected)
    # New pixels lie at 0.5 and 2.5, twice as wide: 3/4, 3/4, 1/4 and 0 of a sum of 7/4.
    np.testing.assert_allclose(
        resampling_weights(4, 2), np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7, rtol=1e-6
    )


@pytest.mark.parametrize("name", CHANGES)
def test_place_and_volume_stay(name: str, study: Study) -> None:
    before = study.voxels.copy()
    changed = CHANGES[name](study)
    np.testing.assert_array_equal(study.voxels, before)
    assert changed.voxels.dtype == np.float32
    assert changed.voxels.sum() * changed.voxel_ml == pytest.approx(
        study.voxels.sum() * study.voxel_ml, rel=0.01
    )
    sizes_mm = [
        sorted(n * mm for n, mm in zip(s.voxels.shape[2:], s.spacing_mm, strict=True))
        for s in (study, changed)
    ]
    assert sizes_mm[0] == pytest.approx(sizes_mm[1], abs=max(changed.spacing_mm) / 2)
    # Nothing tells how to turn it back.
    assert (np.diag(changed.affine)[:2] > 0).all()


def test_turns_and_mirrors_are_exact(study: Study) -> None:
    voxels = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    small = Study("small", voxels, (1.0, 2.0), 8.0)
    assert turn(small).voxels[0, 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    assert turn(small).spacing_mm == (2.0, 1.0)
    assert mirror(small).voxels[0, 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert resample(1.4)(study).spacing_mm == pytest.approx((2.1, 1.75))
