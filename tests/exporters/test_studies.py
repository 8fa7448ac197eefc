from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

from ctct.errors import InputError
from ctct.exporters.studies import CALIBRATION_SLICES, calibration_batches, verification_studies


def test_calibration_and_verification_use_different_people(
    caplog: pytest.LogCaptureFixture,
) -> None:
    studies = verification_studies()
    assert [study.voxels.shape[:2] for study in studies] == [(3, 10), (3, 10)]
    with caplog.at_level(logging.WARNING):
        batches = calibration_batches()
    assert "calibrated on synthetic cines; --calibration DIR takes real scans" in caplog.text
    calibrated = np.concatenate([slices for slices, _ in batches])
    assert len(calibrated) == CALIBRATION_SLICES
    verified = np.concatenate([s.voxels.reshape(-1, *s.voxels.shape[2:]) for s in studies])
    sums = set(verified.sum((1, 2)).tolist())
    assert not sums & set(calibrated.sum((1, 2, 3)).tolist())


def test_scans_of_a_folder(tmp_path: Path) -> None:
    write_scan(tmp_path / "one.nii.gz", (120, 100, 5), (1.5, 1.25, 8.0))
    write_scan(tmp_path / "deep" / "two.nii.gz", (96, 96, 2, 3), (2.0, 2.0, 8.0, 0.05))
    assert [study.name for study in verification_studies(tmp_path)] == ["two", "one"]
    batches = calibration_batches(tmp_path)
    shapes = [slices.shape for slices, _ in batches]
    assert shapes == [(6, 1, 96, 96), (5, 1, 100, 120)]  # all slices, as the scans have few
    assert batches[1][1].tolist() == [[1.25, 1.5]] * 5  # row, column
    assert all(a.dtype == np.float32 for batch in batches for a in batch)


@pytest.mark.parametrize("spacing_mm", [0.5, 5.0])
def test_a_field_of_view_that_is_not_a_hearts_is_refused(spacing_mm: float, tmp_path: Path) -> None:
    write_scan(tmp_path / "odd.nii.gz", (200, 200, 2), (spacing_mm, spacing_mm, 8.0))
    with pytest.raises(InputError, match=r"odd\.nii\.gz: .* mm is not the field of view of a"):
        calibration_batches(tmp_path)


def test_scans_without_an_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        verification_studies(tmp_path)
    blank = nib.Nifti1Image(np.zeros((64, 64, 2), np.int16), np.diag([2.0, 2.0, 8.0, 1.0]))
    nib.save(blank, tmp_path / "blank.nii.gz")
    with pytest.raises(InputError, match="every voxel is 0"):
        verification_studies(tmp_path)
