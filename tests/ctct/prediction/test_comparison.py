from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import phantom

from ctct.measurement.volumes import frame_volumes, measure_frames
from ctct.prediction.comparison import indices_by_model

NAMES = ("p_frame01", "p_frame09")


def write_labels(folder: Path, name: str, labels: np.ndarray) -> None:
    """A label map (Z, H, W) in the order of M&Ms; a voxel is 1.5 x 1.5 x 8 mm = 0.018 mL."""
    folder.mkdir(exist_ok=True)
    mnms = np.array([0, 3, 2, 1], np.uint8)[labels].transpose(2, 1, 0)
    affine = np.diag([1.5, 1.5, 8, 1])
    nib.save(nib.Nifti1Image(mnms, affine), folder / f"{name}_seg.nii.gz")


def test_other_models_are_measured_at_the_same_frames(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = []
    for name, slices in zip(NAMES, (5, 4), strict=True):
        labels = phantom(60, 70, slices)
        frames += frame_volumes(labels[None], 0.018, name)
        labels[-1] = 0  # in the labels of the other model, the last slice holds nothing
        write_labels(tmp_path / "cnn", name, labels)
    write_labels(tmp_path / "incomplete", NAMES[0], phantom(60, 70, 5))
    patient = measure_frames(frames, ed=1, es=0)
    folders = [tmp_path / name for name in ("cnn", "incomplete", "empty")]
    found = indices_by_model(patient, folders, "mnms")
    assert list(found) == ["cnn"]
    this, other = patient.indices, found["cnn"]
    assert other["LVEDV (mL)"] == pytest.approx(this["LVEDV (mL)"] * 3 / 4)
    assert other["LVESV (mL)"] == pytest.approx(this["LVESV (mL)"] * 4 / 5)
    assert "incomplete" in caplog.text
    assert "empty" in caplog.text
