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
    assert trials[0].dice == pytest.approx(2 / 3)  # Dice 1 for MYO and LV, 0 for the RV
    assert trials[0].level == "reject"  # the networks of this segmenter disagree everywhere
    with pytest.raises(InputError, match=r"CASE_gt\.nii\.gz"):
        quality_trials(threshold, [tmp_path / "none"])


@pytest.mark.slow
@pytest.mark.real_data
def test_the_score_tells_bad_labels_from_good_on_real_scans(acdc: Path) -> None:
    from ctct.inference.segmenter import ModelSpec

    trials = quality_trials(ModelSpec().load(), [acdc / "patient030", acdc / "patient085"])
    bad = [trial.dice < 0.80 for trial in trials]
    assert 10 <= sum(bad) <= len(bad) - 10
    assert auroc([trial.score for trial in trials], bad) >= 0.85
