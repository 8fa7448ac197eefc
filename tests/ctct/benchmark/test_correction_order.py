"""The errors left after some corrections, in this order, at random and in the best order."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

from ctct.benchmark.correction_order import (
    EF_ERROR,
    LACK,
    best_errors_left,
    errors_left,
    random_errors_left,
    read_errors,
    share_of_better_orders,
    shown_counts,
)
from ctct.cases.discover import discover
from ctct.errors import InputError
from ctct.inference.segmenter import Segmenter
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder

ERRORS = np.array([0.2, 0.0, 0.4, np.nan])


def test_what_is_left_in_this_order_at_random_and_at_best() -> None:
    # The sum is 0.6 of 4 patients; the unknown error counts 0.
    np.testing.assert_allclose(errors_left(ERRORS), [0.15, 0.1, 0.1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(random_errors_left(ERRORS), [0.15, 0.1125, 0.075, 0.0375, 0])
    np.testing.assert_allclose(best_errors_left(ERRORS), [0.15, 0.05, 0, 0, 0], atol=1e-12)


def test_the_share_of_orders_that_leave_no_more() -> None:
    # Of the 6 orders of three different errors, one is the best, and all are as good as the worst.
    assert share_of_better_orders(np.array([3.0, 2.0, 1.0])) == pytest.approx(1 / 6, abs=0.02)
    assert share_of_better_orders(np.array([1.0, 2.0, 3.0])) == 1.0
    assert share_of_better_orders(np.array([1.0, 1.0])) == 1.0


def test_the_counts_that_are_shown() -> None:
    assert shown_counts(3) == [0, 1, 2, 3]
    assert shown_counts(20) == list(range(0, 21, 2))


def test_the_errors_of_patients_with_references(threshold: Segmenter, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    cases, _ = discover([tmp_path / "in"])
    results, references = tmp_path / "out", tmp_path / "gt"
    predict_folder(
        *(cases, results, threshold.model, lambda model: threshold),
        PredictOptions(clean_up=False, report=False),
    )
    references.mkdir()
    with pytest.raises(InputError):
        read_errors(results, references)
    shutil.copy(results / "one_seg.nii.gz", references / "one_gt.nii.gz")
    image = nib.load(results / "two_seg.nii.gz")
    array = np.asarray(image.dataobj).copy()
    mine = np.argwhere(array == 3)
    array[tuple(mine[: len(mine) // 2].T)] = 0  # half of the LV: 2 · ½ / (1 + ½) = ⅔
    nib.save(nib.Nifti1Image(array, image.affine), references / "two_gt.nii.gz")
    found = read_errors(results, references)
    lack = dict(zip(found.patients, found.errors[LACK], strict=True))
    # No reference has an RV, so it does not count: ⅓ of one of two structures.
    assert lack == {"one": 0.0, "two": pytest.approx(1 / 6, abs=1e-3)}
    assert np.isnan(found.errors[EF_ERROR]).all()  # single frames have no EF
