from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctct.errors import InputError
from ctct.measurement.evaluate import evaluate_folder


def save(path: Path, shape: tuple[int, ...] = (4, 4, 2)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.ones(shape, np.uint8)
    nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 8, 1])), path)


def test_pairs_are_found_in_nested_folders_and_the_rest_is_left(tmp_path: Path) -> None:
    save(tmp_path / "out" / "a_seg.nii.gz")
    save(tmp_path / "out" / "lonely_seg.nii.gz")
    save(tmp_path / "in" / "deep" / "a_gt.nii.gz")
    save(tmp_path / "in" / "deep" / "unseen_gt.nii.gz")
    (score,) = evaluate_folder(tmp_path / "out", tmp_path / "in")
    assert score.case == "a"
    assert score.dice == {"RV": 1.0, "MYO": 1.0, "LV": 1.0, "mean": 1.0}


def test_two_references_of_one_name(tmp_path: Path) -> None:
    for folder in "ab":
        save(tmp_path / folder / "x_gt.nii.gz")
    with pytest.raises(InputError, match="has the same name"):
        evaluate_folder(tmp_path, tmp_path)


def test_shapes_must_agree(tmp_path: Path) -> None:
    save(tmp_path / "x_seg.nii.gz", (4, 5, 2))
    save(tmp_path / "x_gt.nii.gz", (4, 4, 2))
    with pytest.raises(InputError, match=r"\(1, 2, 5, 4\) voxels"):
        evaluate_folder(tmp_path, tmp_path)
