"""``ctct predict`` writes what 3D Slicer edits, counts papillary muscles, and compares studies."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nrrd")
from tests_support import write_scan

from ctct.cases.discover import discover
from ctct.errors import ConfigError
from ctct.inference.segmenter import Segmenter
from ctct.io.label_maps import read_labels
from ctct.io.segment_nrrd import read_segments
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.case_record import read_record
from ctct.prediction.folder import predict_folder
from ctct.prediction.patients import Overrides

SHAPE = (40, 36, 3, 2)


def run(threshold: Segmenter, folder: Path, options: PredictOptions) -> Path:
    cases, _ = discover([folder / "in"])
    predict_folder(cases, folder / "out", threshold.model, lambda model: threshold, options)
    return folder / "out"


def test_each_frame_and_the_cine_hold_the_labels(threshold: Segmenter, tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "cine.nii.gz", SHAPE)
    nifti = run(threshold, tmp_path, PredictOptions(report=False))
    assert not (nifti / "seg-nrrd").exists()
    out = run(threshold, tmp_path, PredictOptions(report=False, formats=("nifti", "seg-nrrd")))
    study, labels = read_labels(out / "cine_seg.nii.gz")
    assert sorted(p.name for p in (out / "seg-nrrd").iterdir()) == [
        "cine_01.seg.nrrd",
        "cine_02.seg.nrrd",
        "cine_seg.seq.nrrd",
    ]
    for frame in range(2):
        found, one = read_segments(out / "seg-nrrd" / f"cine_0{frame + 1}.seg.nrrd")
        assert (one[0] == labels[frame]).all()
        assert found.affine == pytest.approx(study.affine)
    assert (read_segments(out / "seg-nrrd" / "cine_seg.seq.nrrd")[1] == labels).all()
    assert (out / "labels.txt").exists()
    (out / "seg-nrrd" / "cine_01.seg.nrrd").unlink()
    run(threshold, tmp_path, PredictOptions(report=False, formats=("nifti", "seg-nrrd")))
    assert (out / "seg-nrrd" / "cine_01.seg.nrrd").exists()
    _, label_maps = discover([tmp_path])
    assert {path.name for path in label_maps} >= {"cine_01.seg.nrrd", "cine_seg.seq.nrrd"}


def read_indices(out: Path) -> dict[str, str]:
    with (out / "measurements.csv").open(newline="") as file:
        return next(csv.DictReader(file))


def test_papillary_muscles_move_volume_and_mass_and_are_told(
    threshold: Segmenter, tmp_path: Path
) -> None:
    array = np.full(SHAPE, 20, np.int16)
    array[8:30, 8:30] = 120  # wall
    array[11:27, 11:27] = 180  # blood
    array[15, 15, 1] = 120  # labelled as wall, in both frames
    array[11:27, 11:27, :, 1] = 120
    array[15:23, 15:23, :, 1] = 180
    import nibabel as nib

    (tmp_path / "in").mkdir()
    nib.save(
        nib.Nifti1Image(array, np.diag([1.5, 1.25, 8.0, 1.0])), tmp_path / "in" / "cine.nii.gz"
    )
    before = read_indices(
        run(threshold, tmp_path, PredictOptions(clean_up=False, overrides=Overrides(ed=0, es=1)))
    )
    assert "papillary muscles" not in before
    options = PredictOptions(clean_up=False, papillary="cavity", overrides=Overrides(ed=0, es=1))
    after = read_indices(run(threshold, tmp_path, options))  # measured from the same label map
    # One voxel of 0.015 mL.
    assert float(after["LVEDV (mL)"]) - float(before["LVEDV (mL)"]) == pytest.approx(
        0.015, abs=0.011
    )
    assert after["papillary muscles"] == "counted with the cavity"
    assert read_record(tmp_path / "out", "cine").papillary == "cavity"
    before["papillary muscles"] = ""
    options = PredictOptions(clean_up=False, overrides=Overrides(ed=0, es=1))
    assert read_indices(run(threshold, tmp_path, options)).items() <= before.items()


def test_papillary_muscles_and_other_models_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        PredictOptions(papillary="cavity", overrides=Overrides(compare=(Path("other"),)))


def test_studies_of_one_patient_are_compared_in_table_and_report(
    threshold: Segmenter, tmp_path: Path
) -> None:
    for name in ("first", "later"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz", SHAPE)
    options = PredictOptions(overrides=Overrides(follow_ups=(("first", "later"),)))
    out = run(threshold, tmp_path, options)
    with (out / "follow_up.csv").open(newline="") as file:
        rows = {row["index"]: row for row in csv.DictReader(file)}
    assert rows["LVEDV (mL)"]["change"] == "0.00"  # the scans are equal
    assert rows["LVEDV (mL)"]["said"] == "within the noise"
    page = (out / "report.html").read_text()
    assert "first → later" in page
