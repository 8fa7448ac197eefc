from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np


def test_evaluate_by_hand(ctct: Callable[..., object], tmp_path: Path) -> None:
    def save(name: str, values: list[int]) -> None:
        array = np.array(values, np.uint8).reshape(2, 2, 1)
        nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 8, 1])), tmp_path / name)

    save("a_seg.nii.gz", [1, 2, 3, 3])
    save("a_gt.nii.gz", [1, 2, 3, 0])
    # LV: 2 x 1 / (2 + 1) = 0.6667; RV and MYO agree; the mean is (1 + 1 + 0.6667) / 3.
    outcome = ctct("evaluate", tmp_path, tmp_path)
    assert outcome.code == 0
    assert "Dice of 1 frame," in outcome.out
    assert "mean  0.8889" in outcome.out
    # Both have every structure in the only slice, which is the middle third.
    assert "slices of LV: mid missed 0 of 1, false 0 of 0" in outcome.out
    assert "HD95" not in outcome.out
    outcome = ctct("evaluate", tmp_path, tmp_path, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "HD95 in mm" in outcome.out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "evaluation.html",
        "evaluation.json",
        "indices.csv",
        "scores.csv",
    ]
    outcome = ctct("evaluate", tmp_path, tmp_path, "--compare", tmp_path)
    assert outcome.code == 0
    assert f"mean Dice against {tmp_path}: +0.0000 (+0.0000 to +0.0000), p 1" in outcome.out
    # One that cannot be compared: the others are scored, and the exit code says so.
    save("b_seg.nii.gz", [1, 2, 3, 9])
    save("b_gt.nii.gz", [1, 2, 3, 0])
    save("c_gt.nii.gz", [1, 2, 3, 0])
    outcome = ctct("evaluate", tmp_path, tmp_path)
    assert outcome.code == 3
    assert "mean  0.8889" in outcome.out
    assert "b_seg.nii.gz: label map holds 9" in outcome.err
    assert "1 reference without a prediction: c" in outcome.err


def test_scans_given_as_label_maps_cost_one_clear_line(
    ctct: Callable[..., object], tmp_path: Path
) -> None:
    gray = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    for name in "abc":
        nib.save(nib.Nifti1Image(gray, np.diag([1.5, 1.5, 8, 1])), tmp_path / f"{name}.nii.gz")
    outcome = ctct("evaluate", tmp_path, tmp_path)
    assert outcome.code == 4
    assert outcome.err == (
        f"ctct: {tmp_path / 'a.nii.gz'}: holds 1000 different values, from 0 to 999, as a scan "
        "does; give its label map; 2 more cannot be compared\n"
    )


def test_missed_and_false_slices_at_ed_and_es_and_what_is_not_labelled(
    ctct: Callable[..., object], tmp_path: Path
) -> None:
    def save(name: str, *columns: tuple[int, ...]) -> None:
        # (slices, pixels) to (columns, rows, slices)
        array = np.array(columns, np.uint8).T[:, None]
        nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 8, 1])), tmp_path / name)

    # Slices of base, base, mid, apex, apex: the first are the widest.
    slices = [(2, 3, 3, 3), (2, 3, 3, 3), (2, 3, 3, 0), (2, 3, 0, 0), (2, 3, 0, 0)]
    save("p_ED_gt.nii.gz", *slices)
    save("p_ES_gt.nii.gz", *slices)
    save("p_ED_seg.nii.gz", (1, 1, 1, 1), *slices[1:])  # RV in a slice of LV and MYO
    save("p_ES_seg.nii.gz", *slices[:3], (0, 0, 0, 0), (2, 0, 0, 0))
    outcome = ctct("evaluate", tmp_path, tmp_path, "-o", tmp_path / "out")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert "  RV    not labelled in 2 of 2 frames" in lines
    assert not any(line.startswith("slices of RV") for line in lines)
    expected = {
        "": "base missed 1 of 4, false 0 of 0; mid missed 0 of 2, false 0 of 0; "
        "apex missed 2 of 4, false 0 of 0",
        " at ED": "base missed 1 of 2, false 0 of 0; mid missed 0 of 1, false 0 of 0; "
        "apex missed 0 of 2, false 0 of 0",
        " at ES": "base missed 0 of 2, false 0 of 0; mid missed 0 of 1, false 0 of 0; "
        "apex missed 2 of 2, false 0 of 0",
    }
    for group, text in expected.items():
        assert f"slices of LV{group}: {text}" in lines
    assert not any("nan" in line for line in lines)
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "RV in 2 of 2 frames." in page
    cells = page.split('<th scope="row">LV</th>\n<td>ES</td>')[1].split("</tr>")[0]
    assert cells.count("missed 0 of 2") == 1
    assert cells.count("missed 2 of 2") == 1  # at the apex
    assert '<th scope="row">RV</th>' not in page
