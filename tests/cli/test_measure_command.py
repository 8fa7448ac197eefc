"""``ctct measure`` from end to end, with the bundled model: a correction by hand, and bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from ctct.io.nifti import encode_study
from ctct.synthetic import synthetic_cine


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    study, labels = synthetic_cine(seed=0, frames=2, slices=5)
    for stem, content in encode_study(study, labels).items():
        (folder / f"{stem}.nii.gz").write_bytes(content)
    return folder


def test_a_correction_is_measured_and_told(
    scans: Path, tmp_path: Path, ctct: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    assert ctct("predict", scans, "-o", out, "--no-report").code == 0
    image = nib.load(out / "synthetic_0_seg.nii.gz")
    array = np.asarray(image.dataobj).copy()
    muscle = np.argwhere(array[..., 0] == 2)[:50]
    array[(*muscle.T, 0)] = 3
    (tmp_path / "corrected").mkdir()
    corrected = tmp_path / "corrected" / "synthetic_0_seg.nii.gz"
    nib.save(nib.Nifti1Image(array, image.affine, image.header), corrected)
    again = ctct("measure", out, "--edited", tmp_path / "corrected", "-o", tmp_path / "again")
    assert again.code == 0
    assert again.out == f"1 patient, 1 edited; results in {tmp_path / 'again'}\n"
    before, after = (
        json.loads((folder / "measurements.json").read_text())["patients"]["synthetic_0"]
        for folder in (out, tmp_path / "again")
    )
    voxel_ml = float(np.prod(image.header.get_zooms()[:3])) / 1000
    change = [
        after["indices"][name] - before["indices"][name] for name in ("LVEDV (mL)", "LVM (g)")
    ]
    assert change == pytest.approx([50 * voxel_ml, -50 * voxel_ml * 1.05], abs=1e-6)
    assert "50 voxels in 1 frame" in after["remarks"]["edited"]


@pytest.mark.parametrize(
    ("argument", "code", "said"),
    [
        ("--edited", 4, "no such folder; put the corrected label maps there"),
        ("--subjects", 4, "missing: cannot be read (No such file or directory)"),
    ],
)
def test_each_bad_argument_gets_one_clear_line(
    argument: str, code: int, said: str, tmp_path: Path, ctct: Callable[..., Any], scans: Path
) -> None:
    out = tmp_path / "out"
    assert ctct("predict", scans, "-o", out, "--no-report").code == 0
    outcome = ctct("measure", out, argument, tmp_path / "missing")
    assert outcome.code == code
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_folder_of_other_files_is_refused(tmp_path: Path, ctct: Callable[..., Any]) -> None:
    outcome = ctct("measure", tmp_path)
    assert outcome.code == 4
    assert outcome.err == (
        f"ctct: {tmp_path}: no results of ctct predict; give the folder that holds run.json\n"
    )
