from __future__ import annotations

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import phantom

from ctct.io.case import Case
from ctct.measurement.volumes import FrameVolumes, frame_volumes
from ctct.predict.patients import Overrides
from ctct.predict.results import write_results


def write(folder: Path, name: str, slices: int) -> tuple[Case, list[FrameVolumes]]:
    """A scan and, in ``results`` beside it, its label map in the order of M&Ms."""
    labels = phantom(60, 70, slices)
    affine = np.diag([1.5, 1.5, 8, 1])
    scan = np.array([20, 180, 80, 200], np.int16)[labels]
    mnms = np.array([0, 3, 2, 1], np.uint8)[labels]
    for path, array in (
        (folder / f"{name}.nii.gz", scan),
        (folder / "results" / f"{name}_seg.nii.gz", mnms),
    ):
        path.parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), affine), path)
    return Case(folder / f"{name}.nii.gz", name), frame_volumes(labels[None], 0.018, name)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_of_a_patient_in_two_files(tmp_path: Path) -> None:
    measured = [write(tmp_path, "p_frame01", 5), write(tmp_path, "p_frame09", 4)]
    out = tmp_path / "results"
    write_results(out, measured, Overrides(ed=0, es=1), "mnms")
    (patient,) = rows(out / "measurements.csv")
    assert patient["verdict"] == "review"  # no indicators were kept
    assert "not known" in patient["flags"]
    segments = rows(out / "segments.csv")
    assert len(segments) == 16
    # The wall is 3 pixels of 1.5 mm thick, at ED as at ES.
    assert abs(float(segments[0]["ED (mm)"]) - 4.5) < 0.4
    assert float(segments[0]["thickening (%)"]) == 0
    html = (out / "report.html").read_text()
    assert html.count("data:image/jpeg") == 1  # ED; ES has another number of slices


def test_a_scan_that_was_moved_has_no_picture_and_everything_else(tmp_path: Path) -> None:
    measured = [write(tmp_path, "p_frame01", 5)]
    (tmp_path / "p_frame01.nii.gz").unlink()
    write_results(tmp_path / "results", measured, Overrides(), "mnms")
    assert "data:image" not in (tmp_path / "results" / "report.html").read_text()
    assert rows(tmp_path / "results" / "frames.csv")[0]["LV volume (mL)"]


def test_a_label_map_that_went_missing_costs_its_patient_the_pictures_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measured = [write(tmp_path, "a", 5), write(tmp_path, "b", 5)]
    (tmp_path / "results" / "a_seg.nii.gz").unlink()
    write_results(tmp_path / "results", measured, Overrides(), "mnms")
    html = (tmp_path / "results" / "report.html").read_text()
    assert html.count('class="patient"') == 2
    assert html.count("data:image/jpeg") == 1
    assert "a: no pictures" in caplog.text


def test_nothing_measured(tmp_path: Path) -> None:
    write_results(tmp_path, [], Overrides())
    assert rows(tmp_path / "measurements.csv") == []
    assert "No patient" in (tmp_path / "report.html").read_text()


def test_other_models_are_measured_at_the_same_frames(tmp_path: Path) -> None:
    measured = [write(tmp_path, "p_frame01", 5), write(tmp_path, "p_frame09", 4)]
    alone = tmp_path / "cnn"
    alone.mkdir()
    for name in ("p_frame01", "p_frame09"):
        # As the other model sees it, the last slice holds nothing.
        image = nib.load(tmp_path / "results" / f"{name}_seg.nii.gz")
        labels = np.asarray(image.dataobj).copy()
        labels[..., -1] = 0
        nib.save(nib.Nifti1Image(labels, image.affine), alone / f"{name}_seg.nii.gz")
    given = Overrides(ed=1, es=0, compare=(alone, tmp_path / "empty"))
    write_results(tmp_path / "results", measured, given, "mnms")
    this, other = rows(tmp_path / "results" / "by_model.csv")
    assert (this["model"], other["model"]) == ("this", "cnn")  # nothing of the empty folder
    edv, esv = float(this["LVEDV (mL)"]), float(this["LVESV (mL)"])
    assert abs(float(other["LVEDV (mL)"]) - edv * 3 / 4) < 0.01
    assert abs(float(other["LVESV (mL)"]) - esv * 4 / 5) < 0.01
    assert "of 2 models" in (tmp_path / "results" / "report.html").read_text()
