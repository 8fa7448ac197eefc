from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import phantom

from ctct.benchmark.dice_models import auroc
from ctct.benchmark.quality import quality_trials
from ctct.errors import InputError
from ctct.inference.segmenter import Segmenter


def test_trials_of_a_scan(threshold: Segmenter, tmp_path: Path) -> None:
    labels = phantom(64, 64, 4)
    for ending, voxels in (("", np.array([20, 90, 120, 200])[labels]), ("_gt", labels)):
        image = nib.Nifti1Image(voxels.astype(np.int16).transpose(2, 1, 0), np.diag([2, 2, 8, 1]))
        nib.save(image, tmp_path / f"a{ending}.nii.gz")
    trials = quality_trials(threshold, [tmp_path])
    assert [trial.damage for trial in trials][:3] == ["none", "noise 0.1", "noise 0.25"]
    assert trials[0].case == "a"
    assert trials[0].dice == {"RV": 0, "MYO": 1, "LV": 1}
    assert trials[0].level == "reject"  # the networks of this segmenter disagree everywhere
    two = quality_trials(threshold, [tmp_path], copies=1)
    assert [trial.damage for trial in two] == ["none", "noise 0.1"]
    with pytest.raises(InputError, match=r"CASE_gt\.nii\.gz"):
        quality_trials(threshold, [tmp_path / "none"])


@pytest.mark.slow
@pytest.mark.real_data
def test_the_predicted_dice_tells_bad_labels_from_good_on_real_scans(acdc: Path) -> None:
    from ctct.inference.segmenter import ModelSpec

    trials = quality_trials(ModelSpec().load(), [acdc / "patient030", acdc / "patient085"])
    labels = [
        (trial.indicators.predicted_dice[s], dice)
        for trial in trials
        for s, dice in trial.dice.items()
    ]
    bad = [dice < 0.80 for _, dice in labels]
    assert 10 <= sum(bad) <= len(bad) - 10
    assert auroc([-guess for guess, _ in labels], bad) >= 0.95
