from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import phantom

from ctct.benchmark.quality import auroc, quality_trials
from ctct.errors import InputError
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.synthetic.damage import DAMAGES


def spoil(name: str) -> tuple[Study, np.ndarray, Study, np.ndarray]:
    labels = np.repeat(phantom(60, 80, 8)[None], 2, 0)
    voxels = np.array([20, 180, 80, 200], np.float32)[labels]
    study = Study("x", voxels, (1.5, 1.25), 8.0)
    return study, labels, *DAMAGES[name](study, labels, np.random.default_rng(0))


def test_nothing_is_nothing_and_image_and_labels_stay_together() -> None:
    study, labels, spoilt, truth = spoil("none")
    assert spoilt is study
    assert truth is labels
    for name in DAMAGES:
        _, _, spoilt, truth = spoil(name)
        assert spoilt.voxels.shape == truth.shape, name
        assert np.isfinite(spoilt.voxels).all()


def test_noise_is_rician() -> None:
    study, _, spoilt, _ = spoil("noise 0.5")
    # Of a dark background (20, noise 0.5 x 200 = 100) the mean is near 100 sqrt(pi / 2) = 125.
    assert spoilt.voxels[study.voxels == 20].mean() == pytest.approx(127, abs=2)


def test_ghosts_lie_at_shifts_of_the_rows() -> None:
    # A third of k-space is weakened by 0.7: of a point 1 - 0.7 / 3 stays in its place.
    point = np.zeros((1, 1, 60, 4), np.float32)
    point[0, 0, 10] = 3.0
    shifted = DAMAGES["ghosting 0.7"](
        Study("x", point, (1, 1), 8), np.zeros(point.shape, np.uint8), np.random.default_rng(0)
    )[0].voxels[0, 0, :, 0]
    assert shifted[10] == pytest.approx(3 * (1 - 0.7 / 3), rel=1e-5)
    assert shifted[[30, 50]] == pytest.approx([0.7, 0.7], rel=1e-5)


def test_slices_spacing_and_view() -> None:
    study, labels, spoilt, truth = spoil("every other slice")
    assert spoilt.slices == 4
    assert spoilt.slice_spacing_mm == study.slice_spacing_mm
    assert spoil("base and apex lost")[2].slices == 4
    assert spoil("spacing x 1.8")[2].spacing_mm == (2.7, 2.25)
    # The heart is 28 columns wide or less; of it at least half is gone.
    _, labels, _, truth = spoil("cropped by 0.6")
    assert np.count_nonzero(truth) < 0.6 * np.count_nonzero(labels)


def test_auroc_by_hand() -> None:
    # Bad 3 and 1 against good 2 and 1: 3 > 2, 3 > 1, 1 < 2, 1 = 1: (1 + 1 + 0 + 0.5) / 4.
    assert auroc([3, 1, 2, 1], [True, True, False, False]) == pytest.approx(0.625)
    assert math.isnan(auroc([1, 2], [True, True]))


def test_trials_of_a_scan(threshold: Segmenter, tmp_path: Path) -> None:
    labels = phantom(64, 64, 4)
    for ending, voxels in (("", np.array([20, 90, 120, 200])[labels]), ("_gt", labels)):
        image = nib.Nifti1Image(voxels.astype(np.int16).transpose(2, 1, 0), np.diag([2, 2, 8, 1]))
        nib.save(image, tmp_path / f"a{ending}.nii.gz")
    trials = quality_trials(threshold, [tmp_path])
    assert [trial.damage for trial in trials][:3] == ["none", "noise 0.1", "noise 0.25"]
    assert trials[0].case == "a"
    assert trials[0].dice == pytest.approx(2 / 3)  # MYO and LV are whole, there is no RV
    assert trials[0].level == "reject"  # the stand-in disagrees everywhere
    with pytest.raises(InputError, match=r"CASE_gt\.nii\.gz"):
        quality_trials(threshold, [tmp_path / "none"])


@pytest.mark.slow
@pytest.mark.real_data
def test_the_score_tells_bad_labels_from_good_on_real_scans(acdc: Path) -> None:
    from ctct.inference.segmenter import load_model

    trials = quality_trials(load_model(), [acdc / "patient030", acdc / "patient085"])
    bad = [trial.dice < 0.80 for trial in trials]
    assert 10 <= sum(bad) <= len(bad) - 10
    assert auroc([trial.score for trial in trials], bad) >= 0.85
