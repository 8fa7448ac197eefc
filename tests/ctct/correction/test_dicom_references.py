"""A viewer's DICOM segmentation is recognized by the images that it refers to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("highdicom")
from dicom_support import enhanced, save, write_cine
from pydicom import dcmread

from ctct.cases.discover import discover
from ctct.correction.dicom_references import match_references
from ctct.correction.edited_files import EditedFile
from ctct.correction.measure import measure_folder
from ctct.inference.segmenter import Segmenter
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder


@pytest.fixture(params=["single frames", "enhanced"])
def results(request: pytest.FixtureRequest, threshold: Segmenter, tmp_path: Path) -> Path:
    folder = tmp_path / "in" / "cine"
    if request.param == "enhanced":
        source = enhanced(6, 5)
        source.FrameOfReferenceUID = "1.2.7"
        save(source, folder / "file.dcm")
    else:
        write_cine(folder, 6, 5, lambda t, z: {"FrameOfReferenceUID": "1.2.7"})
    options = PredictOptions(clean_up=False, report=False, formats=("nifti", "seg", "seg-cine"))
    cases, _ = discover([tmp_path / "in"])
    predict_folder(cases, tmp_path / "out", threshold.model, lambda model: threshold, options)
    return tmp_path / "out"


def test_a_segmentation_of_any_name_finds_its_case_and_frame(results: Path, tmp_path: Path) -> None:
    viewer = tmp_path / "viewer" / "1.2.826.dcm"
    viewer.parent.mkdir()
    shutil.copy(results / "dicom-seg" / "cine_04.dcm", viewer)
    other = viewer.with_name("image.dcm")
    shutil.copy(next((tmp_path / "in" / "cine").iterdir()), other)
    text = viewer.with_name("text.dcm")
    text.write_text("no DICOM")
    found = match_references([viewer, other, text], results / "dicom-seg", ["cine"])
    assert found == {viewer: ("cine", EditedFile(viewer, 3))}


def test_a_segmentation_of_the_cine_finds_its_case(results: Path, tmp_path: Path) -> None:
    viewer = tmp_path / "1.2.826.dcm"
    shutil.copy(next(results.glob("*cine/cine.dcm")), viewer)
    found = match_references([viewer], results / "dicom-seg", ["cine"])
    assert found == {viewer: ("cine", EditedFile(viewer))}


def test_it_is_measured_like_one_of_the_usual_name(results: Path, tmp_path: Path) -> None:
    (results / "edited").mkdir()
    dataset = dcmread(results / "dicom-seg" / "cine_04.dcm")
    dataset.PixelData = bytes(len(dataset.PixelData))  # all erased
    dataset.save_as(results / "edited" / "from-a-viewer.dcm")
    statuses, patients = measure_folder(results)
    assert [status.status for status in statuses] == ["done"]
    assert "in 1 frame" in patients[0].remarks["edited"]
