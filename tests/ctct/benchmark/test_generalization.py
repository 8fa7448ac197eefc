from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tests_support import phantom

from ctct.benchmark.generalization import (
    Deviation,
    SetResult,
    compare_indices,
    generalization,
    measure_set,
    name_sets,
)
from ctct.benchmark.generalization_table import (
    align,
    as_markdown,
    generalization_files,
    pool_deviations,
    set_cells,
)
from ctct.errors import InputError
from ctct.inference.segmenter import Segmenter
from ctct.synthetic.changes import CHANGES

ML = 2 * 2 * 8 / 1000  # of a voxel
PHANTOM = phantom(64, 64, 6)
LV_SLICE_ML, RV_SLICE_ML = ((PHANTOM[0] == value).sum() * ML for value in (3, 1))


def write_set(folder: Path, values: tuple[int, ...] = (0, 1, 2, 3)) -> Path:
    """A patient whose heart has 6 slices at ED and 4 at ES; ``values``: labels of the references.

    The segmenter of the tests finds LV and MYO to the voxel, and no RV.
    """
    folder.mkdir(parents=True)
    for phase, slices in (("ED", 6), ("ES", 4)):
        labels = PHANTOM * (np.arange(6) < slices)[:, None, None]
        for ending, array in (
            ("", np.array([20, 90, 120, 200])[labels]),
            ("_gt", np.array(values)[labels]),
        ):
            image = nib.Nifti1Image(
                array.astype(np.int16).transpose(2, 1, 0), np.diag([2, 2, 8, 1])
            )
            nib.save(image, folder / f"p_{phase}{ending}.nii.gz")
    return folder


def test_a_set_by_hand(threshold: Segmenter, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "whole")
    result = measure_set(threshold, folder, "whole", changed_patients=3)
    cells = set_cells(result)
    assert (cells["patients"], cells["frames"], cells["not scored"]) == ("1", "2", "0")
    assert cells["LV Dice"] == cells["MYO Dice"] == "1.000 (1.000)"
    assert cells["RV Dice"] == "0.000 (0.000)"
    assert cells["mean Dice"] == "0.667 (0.667)"
    assert cells["RV ED missed + false"] == "6 + 0 of 6"
    assert cells["RV ES missed + false"] == "4 + 0 of 6"
    assert cells["LV ES missed + false"] == "0 + 0 of 6"
    assert cells["LVEDV (mL)"] == "0.0 ± –"  # a single patient has no standard deviation
    assert cells["RVEDV (mL)"] == f"{-6 * RV_SLICE_ML:.1f} ± –"
    assert cells["RVEF (%)"] == "–"  # no RV was predicted
    # The networks of this segmenter disagree everywhere.
    assert result.verdicts == {"ok": 0, "review": 0, "reject": 1}
    assert cells["ok with Dice < 0.75"] == "0 of 2"
    by_change = {deviation.change: deviation for deviation in result.deviations}
    assert list(by_change) == list(CHANGES)
    for change in ("turned by 90°", "mirrored"):
        assert by_change[change].percent["LVEDV (mL)"] == pytest.approx(0)
    assert by_change["pixels × 1.4"].percent["LVEDV (mL)"] == pytest.approx(0, abs=10)
    assert by_change["pixels × 1.4"].points["LVEF (%)"] == pytest.approx(0, abs=0.5)
    assert math.isnan(by_change["mirrored"].percent["RVEDV (mL)"])


def test_references_without_a_structure(threshold: Segmenter, tmp_path: Path) -> None:
    result = measure_set(threshold, write_set(tmp_path / "no_rv", (0, 0, 2, 3)), "no_rv")
    cells = set_cells(result)
    assert (cells["RV Dice"], cells["RV ED missed + false"], cells["RVEDV (mL)"]) == ("–",) * 3
    assert cells["mean Dice"] == "1.000 (1.000)"
    files = generalization_files([result], {Path("bad"): "bad: no scan"}, {"model": "m.onnx"})
    page = files["generalization.md"].decode()
    assert "- no_rv: RV is not labelled in 2 of 2 frames, and not scored there" in page
    assert "- bad: bad: no scan" in page
    content = json.loads(files["generalization.json"], parse_constant=lambda c: 1 / 0)
    (values,) = content["sets"]
    assert values["dice"]["RV"]["mean"] is None
    assert values["slices"]["LV"]["ES"] == {"missed": 0, "present": 4, "false": 0, "absent": 2}
    assert values["agreement"]["LVEF (%)"]["bias"] == 0


def test_references_in_another_order_are_refused(threshold: Segmenter, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "other", (0, 3, 2, 1))
    with pytest.raises(
        InputError, match=r"in 2 of 2 frames: LV is RV .*--reference-order, e\.g\. mnms"
    ):
        measure_set(threshold, folder, "other")
    acdc = write_set(tmp_path / "acdc")
    with pytest.raises(InputError, match=r"LV is RV .*--reference-order, e\.g\. acdc"):
        measure_set(threshold, acdc, "acdc", "mnms")
    result = measure_set(threshold, folder, "other", "mnms")
    assert set_cells(result)["LV Dice"] == "1.000 (1.000)"


def test_a_set_that_cannot_be_used_does_not_stop_the_others(
    ctct: Callable[..., Any],
    threshold: Segmenter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ctct.inference.segmenter.ModelSpec.load", lambda spec: threshold)
    good = write_set(tmp_path / "good")
    (good / "gone_gt.nii.gz").write_bytes((good / "p_ED_gt.nii.gz").read_bytes())
    unlabelled = write_set(tmp_path / "unlabelled")
    for path in unlabelled.glob("*_gt.nii.gz"):
        path.unlink()
    with pytest.raises(InputError, match="no such folder"):
        generalization(threshold, [good, tmp_path / "gone"])
    with pytest.raises(InputError, match=r"has a reference; call that of p_ED p_ED_gt\.nii\.gz"):
        generalization(threshold, [unlabelled])
    out = tmp_path / "out"
    outcome = ctct("benchmark", "generalization", unlabelled, good, "-o", out)
    assert outcome.code == 3
    assert "no scan has a reference" in outcome.err
    assert [line.split() for line in outcome.out.splitlines()[:2]] == [
        ["set", "good"],
        ["patients", "1"],
    ]
    assert "good: not scored: gone: there is no such scan" in outcome.out
    assert sorted(path.name for path in out.iterdir()) == [
        "generalization.json",
        "generalization.md",
    ]


def test_sets_are_called_after_their_folders(tmp_path: Path) -> None:
    a, b, c = tmp_path / "x" / "test", tmp_path / "y" / "test", tmp_path / "other"
    assert name_sets([a, b, c, c]) == {a: "x/test", b: "y/test", c: "other"}
    assert name_sets([a]) == {a: "test"}


def test_changes_of_indices_by_hand() -> None:
    before = {f"{v}{i}": 50.0 for v in ("LV", "RV") for i in ("EDV (mL)", "ESV (mL)", "EF (%)")}
    before["LVM (g)"] = 100.0
    after = before | {"LVEDV (mL)": 60.0, "LVESV (mL)": 45.0, "LVEF (%)": 47.0, "LVM (g)": 97.0}
    found = compare_indices("p", "mirrored", before | {"RVESV (mL)": 0.0}, after)
    assert found.percent["LVEDV (mL)"] == pytest.approx(20)
    assert found.percent["LVESV (mL)"] == pytest.approx(-10)
    assert found.percent["LVM (g)"] == pytest.approx(-3)
    assert found.points == {"LVEF (%)": -3, "RVEF (%)": 0}
    assert math.isnan(found.percent["RVESV (mL)"])
    other = Deviation("q", "mirrored", found.percent, {"LVEF (%)": 1.0, "RVEF (%)": 0.0})
    percent, points = pool_deviations([found, other], "LV")
    assert percent == pytest.approx([20, -10, 20, -10])
    assert points == [-3, 1]


def test_tables_for_a_terminal_and_in_markdown() -> None:
    rows = [{"set": "a|b", "frames": "12"}, {"set": "c", "frames": "4"}]
    assert align([list(row.values()) for row in rows]) == ["a|b  12", "c     4"]
    assert as_markdown(rows) == [
        "| set | frames |",
        "| --- | --- |",
        "| a\\|b | 12 |",
        "| c | 4 |",
    ]


@pytest.mark.real_data
@pytest.mark.slow
def test_a_real_patient_stored_in_other_ways(acdc: Path) -> None:
    from ctct.inference.segmenter import ModelSpec

    result: SetResult = measure_set(
        ModelSpec().load(), acdc / "patient019", "patient019", changed_patients=3
    )
    assert result.findings.evaluation.indices.keys() == {"patient019"}
    assert min(score.mean_dice for score in result.findings.evaluation.scores) > 0.85
    assert all(abs(d.percent["LVEDV (mL)"]) < 5 for d in result.deviations)
