from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np


def test_info_names_versions_runtimes_and_the_model(ctct: Callable[..., object]) -> None:
    outcome = ctct("info", "--card")
    assert outcome.code == 0
    for word in ("ctct ", "runtime openvino: 2", "CUDA devices:", "validation_dice", "CC BY-NC-SA"):
        assert word in outcome.out


def test_a_file_is_described_with_what_would_be_done(
    ctct: Callable[..., object], tmp_path: Path
) -> None:
    affine = np.diag([-1.4, -1.2, 8.7, 1.0])  # RAS: columns go to the left, rows to the back
    image = np.random.default_rng(0).normal(0, 1, (180, 200, 10)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, affine), tmp_path / "p1_LGE.nii.gz")
    (tmp_path / "p2.mgz").touch()
    (tmp_path / "p3.nii.gz").write_bytes(b"text")
    nib.save(nib.Nifti1Image(image[..., 0], affine), tmp_path / "p4.nii.gz")
    lines = ctct("info", tmp_path).out.splitlines()
    at = lines.index(f"{tmp_path}/p1_LGE.nii.gz: a file, taken")
    assert lines[at + 1 : at + 4] == [
        "  1 frame of 10 slices, 8.7 mm apart, 200×180 pixels of 1.2×1.4 mm",
        "  by the header, columns go to left, rows to posterior, slices to head",
        "  review: this is no short-axis cine: its name speaks of late enhancement",
    ]
    (broken,) = (line for line in lines if "p3" in line)
    assert "taken, but cannot be used" in broken
    (other,) = (line for line in lines if "p2" in line)
    assert "FreeSurfer" in other
    assert "(not taken)" in other
    assert "  1 frame of 1 slice, an unknown distance apart, 200×180 pixels of 1.2×1.4 mm" in lines


def test_a_folder_without_a_scan_is_said_to_have_none(
    ctct: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    outcome = ctct("info", tmp_path)
    assert outcome.code == 4
    assert f"{tmp_path}: no scan found there" in outcome.err
