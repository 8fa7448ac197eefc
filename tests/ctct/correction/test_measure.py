"""Results measured again with corrected labels: exactly, resumably, and the originals stay."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("nrrd")
from tests_support import write_scan

from ctct.cases.discover import discover
from ctct.correction.measure import MeasureOptions, measure_folder
from ctct.errors import ConfigError, InputError
from ctct.inference.segmenter import Segmenter
from ctct.io.label_maps import read_labels
from ctct.io.segment_nrrd import encode_segmentation
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder
from ctct.prediction.patients import Overrides

#: Columns, rows, slices and frames; a voxel has 1.5 × 1.25 × 8 mm = 0.015 mL.
SHAPE = (40, 36, 3, 4)
VOXEL_ML = 0.015


@pytest.fixture
def results(threshold: Segmenter, tmp_path: Path) -> Path:
    for name in ("one", "two"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz", SHAPE)
    options = PredictOptions(clean_up=False, formats=("nifti", "seg-nrrd"))
    cases, _ = discover([tmp_path / "in"])
    predict_folder(cases, tmp_path / "out", threshold.model, lambda model: threshold, options)
    return tmp_path / "out"


def edit(results: Path, name: str, frame: int, pixels: int = 50) -> Path:
    """Give the LV ``pixels`` background voxels more, in a copy of a label map."""
    image = nib.load(results / f"{name}_seg.nii.gz")
    array = np.asarray(image.dataobj).copy()
    free = np.argwhere(array[..., frame] == 0)[:pixels]
    array[(*free.T, frame)] = 3
    path = results / "edited" / f"{name}_seg.nii.gz"
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(array, image.affine, image.header), path)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_fifty_pixels_more_change_the_volume_by_exactly_their_own(results: Path) -> None:
    before = {row["patient"]: row for row in rows(results / "measurements.csv")}
    ed = int(before["one"]["ED frame"])
    edit(results, "one", ed)
    statuses, _ = measure_folder(results)
    assert [(s.case, s.status) for s in statuses] == [("one", "done"), ("two", "done")]
    (lv,) = [r for r in rows(results / "measured" / "edits.csv") if r["structure"] == "LV"]
    assert (lv["case"], lv["frame"], lv["voxels added"]) == ("one", str(ed), "50")
    assert float(lv["change (mL)"]) == pytest.approx(50 * VOXEL_ML, abs=1e-6)
    after = {row["patient"]: row for row in rows(results / "measured" / "measurements.csv")}
    change = float(after["one"]["LVEDV (mL)"]) - float(before["one"]["LVEDV (mL)"])
    assert change == pytest.approx(0.75, abs=0.011)
    exact = [
        json.loads((folder / "measurements.json").read_text())["patients"]["one"]["indices"]
        for folder in (results, results / "measured")
    ]
    assert exact[1]["LVEDV (mL)"] - exact[0]["LVEDV (mL)"] == pytest.approx(0.75, abs=1e-6)
    assert after["one"]["edited"].startswith("50 voxels in 1 frame; Dice RV 1.000, MYO 1.000, LV ")
    assert "LVEDV +0.8 mL" in after["one"]["edited"]  # 0.75
    assert after["one"]["verdict"] != "ok"
    assert "how far the networks agree is not known" in after["one"]["flags"]
    assert after["two"] == before["two"] | {"edited": ""}
    assert "50 voxels in 1 frame" in (results / "measured" / "report.html").read_text()


def test_the_automatic_results_stay_byte_for_byte(results: Path) -> None:
    edit(results, "one", 0)
    before = content(results)
    measure_folder(results)
    after = content(results)
    assert {name: after[name] for name in before} == before


def test_files_that_nobody_changed_leave_every_byte(results: Path) -> None:
    """Out by ctct, in by ctct, through both kinds of files."""
    (results / "edited").mkdir()
    shutil.copy(results / "one_seg.nii.gz", results / "edited")
    shutil.copy(results / "seg-nrrd" / "two_seg.seq.nrrd", results / "edited")
    _, patients = measure_folder(results)
    assert [patient.remarks["edited"] for patient in patients] == ["", ""]
    for name in ("one", "two"):
        automatic, measured = (
            (folder / f"{name}_seg.nii.gz").read_bytes()
            for folder in (results, results / "measured")
        )
        assert measured == automatic
    assert rows(results / "measured" / "edits.csv") == []


def test_a_correction_by_slicer_is_saved_in_the_geometry_of_the_scan(results: Path) -> None:
    study, labels = read_labels(results / "one_seg.nii.gz")
    labels[2, 1, 5:10, 5:15] = 1
    (results / "edited").mkdir()
    path = results / "edited" / "one_03.seg.nrrd"
    path.write_bytes(encode_segmentation(study, labels[2]))
    measure_folder(results)
    automatic, measured = (
        nib.load(folder / "one_seg.nii.gz") for folder in (results, results / "measured")
    )
    assert measured.header.binaryblock == automatic.header.binaryblock
    assert (np.asarray(measured.dataobj).transpose(3, 2, 1, 0) == labels).all()


def test_a_second_call_reads_only_what_was_edited_since(results: Path) -> None:
    edit(results, "one", 0)
    edit(results, "two", 0)
    measure_folder(results)
    before = content(results / "measured")
    edit(results, "two", 1)
    statuses, _ = measure_folder(results)
    assert [(s.case, s.status) for s in statuses] == [("one", "skipped"), ("two", "done")]
    after = content(results / "measured")
    assert after["one_seg.nii.gz"] == before["one_seg.nii.gz"]
    statuses, _ = measure_folder(results)
    assert [s.status for s in statuses] == ["skipped", "skipped"]
    again = content(results / "measured")
    assert all(again[name] == after[name] for name in after if name != "run.json")


def test_ed_and_es_in_one_file_are_those_of_two_scans(threshold: Segmenter, tmp_path: Path) -> None:
    """The demo joins ED and ES that are files of their own, and saves one label map."""
    for phase in ("ED", "ES"):
        write_scan(tmp_path / "in" / f"P1_{phase}.nii.gz", SHAPE[:3])
    cases, _ = discover([tmp_path / "in"])
    results = tmp_path / "out"
    predict_folder(
        *(cases, results, threshold.model, lambda model: threshold), PredictOptions(clean_up=False)
    )
    (ed, es) = (nib.load(results / f"P1_{phase}_seg.nii.gz") for phase in ("ED", "ES"))
    both = np.stack([np.asarray(image.dataobj) for image in (ed, es)], -1)
    free = np.argwhere(both[..., 1] == 0)[:50]
    both[(*free.T, 1)] = 3
    (results / "edited").mkdir()
    nib.save(nib.Nifti1Image(both, ed.affine), results / "edited" / "P1_seg.nii.gz")
    statuses, (patient,) = measure_folder(results)
    assert [(s.case, s.status) for s in statuses] == [("P1_ED", "done"), ("P1_ES", "done")]
    assert patient.remarks["edited"].startswith("50 voxels in 1 frame")
    assert "LVESV +0.8 mL" in patient.remarks["edited"]  # 0.75


def test_a_call_that_was_stopped_is_continued(results: Path) -> None:
    edit(results, "one", 0)
    edit(results, "two", 0)
    measure_folder(results)
    (results / "measured" / "edits" / "two.json").unlink()  # written after the label map
    (results / "measured" / "report.html").unlink()
    statuses, _ = measure_folder(results)
    assert [s.status for s in statuses] == ["skipped", "done"]
    assert (results / "measured" / "report.html").exists()


def test_a_bad_file_fails_its_case_and_the_others_go_on(results: Path) -> None:
    edit(results, "one", 0)
    bad = edit(results, "two", 0)
    bad.write_bytes(bad.read_bytes()[:200])
    (results / "edited" / "three_seg.nii.gz").write_bytes(b"x")
    statuses, patients = measure_folder(results)
    assert [(s.case, s.status) for s in statuses] == [
        ("one", "done"),
        ("two", "failed"),
        ("three_seg.nii.gz", "failed"),
    ]
    assert "two_seg.nii.gz" in statuses[1].reason
    assert "its name is that of no case" in statuses[2].reason
    assert [patient.name for patient in patients] == ["one"]


def test_a_map_of_another_heart_is_doubted(results: Path) -> None:
    path = edit(results, "one", 0)
    image = nib.load(path)
    array = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(np.roll(array == 0, 1, 0) * np.uint8(3), image.affine), path)
    _, patients = measure_folder(results)
    reasons = [flag.reason for flag in patients[0].judgement.flags]
    assert any("hardly overlap the automatic ones" in reason for reason in reasons)


def test_a_map_corrected_in_place_is_measured_and_said_to_be_edited(results: Path) -> None:
    shutil.copy(edit(results, "one", 0), results / "one_seg.nii.gz")
    shutil.rmtree(results / "edited")
    _, patients = measure_folder(results)
    assert patients[0].remarks["edited"].startswith("corrected in place")
    assert "how far the networks agree is not known" in [
        flag.reason for flag in patients[0].judgement.flags
    ]
    assert patients[1].remarks["edited"] == ""


def test_scans_that_are_gone_cost_the_pictures_only(results: Path, tmp_path: Path) -> None:
    edit(results, "one", 0)
    shutil.rmtree(tmp_path / "in")
    statuses, patients = measure_folder(results)
    assert [s.status for s in statuses] == ["done", "done"]
    assert [patient.picture for patient in patients] == [b"", b""]
    assert "50 voxels" in patients[0].remarks["edited"]


def test_bodies_and_phases_that_a_scan_named_hold_when_it_is_gone(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "one.nii.gz", SHAPE)
    (tmp_path / "in" / "Info.cfg").write_text("ED: 3\nES: 2\nHeight: 180\nWeight: 80\n")
    cases, _ = discover([tmp_path / "in"])
    out = tmp_path / "out"
    predict_folder(cases, out, threshold.model, lambda model: threshold, PredictOptions())
    shutil.rmtree(tmp_path / "in")
    (before,) = rows(out / "measurements.csv")
    assert (before["ED frame"], before["BSA (m2)"]) == ("2", "2.00")
    measure_folder(out)
    (after,) = rows(out / "measured" / "measurements.csv")
    assert after == before | {"edited": ""}


def test_given_phases_hold(results: Path) -> None:
    _, patients = measure_folder(results, options=MeasureOptions(Overrides(ed=2, es=1)))
    assert {(p.measurements.ed, p.measurements.es) for p in patients} == {(2, 1)}


def test_results_are_not_overwritten(results: Path) -> None:
    with pytest.raises(ConfigError, match="give another folder"):
        measure_folder(results, out=results)
    with pytest.raises(ConfigError, match="holds the automatic label maps"):
        measure_folder(results, results)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results of ctct predict"):
        measure_folder(tmp_path)
