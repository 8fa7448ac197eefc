"""Results with corrected label maps as a training set: which frames it holds, and which labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import phantom, scan_of

from ctct.cases.discover import discover
from ctct.correction.training_set import pack_corrections, read_corrections
from ctct.datasets.layouts import read_collection
from ctct.errors import InputError
from ctct.inference.segmenter import Segmenter
from ctct.io.label_maps import read_labels
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder

#: By name of a cine, how many rows below the center its heart lies.
HEARTS = {"one": 0, "two": 1, "three": 2}


def truth(shift: int) -> np.ndarray:
    """Labels (T, Z, H, W) of a heart that ends a slice earlier in frame 2."""
    labels = np.repeat(np.roll(phantom(60, 70, 4), shift, 1)[None], 4, 0)
    labels[2, 3:] = 0
    return labels


@pytest.fixture
def results(threshold: Segmenter, tmp_path: Path) -> Path:
    """Of three cines, without a correction."""
    (tmp_path / "in").mkdir()
    for name, shift in HEARTS.items():
        voxels = scan_of(truth(shift)).transpose(3, 2, 1, 0)
        image = nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 8.0, 1.0]))
        nib.save(image, tmp_path / "in" / f"{name}.nii.gz")
    cases, _ = discover([tmp_path / "in"])
    options = PredictOptions(clean_up=False)
    predict_folder(cases, tmp_path / "out", threshold.model, lambda model: threshold, options)
    return tmp_path / "out"


def correct(results: Path, name: str, *frames: int, to: str = "edited") -> Path:
    """Write the true labels of some frames of a case, and the automatic ones of the others."""
    image = nib.load(results / f"{name}_seg.nii.gz")
    array = np.asarray(image.dataobj).copy()
    for frame in frames:
        array[..., frame] = truth(HEARTS[name])[frame].transpose(2, 1, 0)
    path = results / to / f"{name}_seg.nii.gz"
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(array, image.affine, image.header), path)
    return path


def phases(results: Path, name: str) -> set[int]:
    from ctct.prediction.results import TableOptions, join_entries, list_entries

    for patient in join_entries(list_entries(results), TableOptions(), pictures=False):
        if patient.name == name:
            return set(patient.measurements.phases.values())
    raise AssertionError(name)


def test_corrected_cases_are_labelled_and_the_others_are_not(results: Path) -> None:
    correct(results, "one", 0, 1, 2, 3)
    correct(results, "two", 0, 1, 2, 3)
    found = read_corrections(results)
    labelled = {v.name: v for v in found.volumes if v.labels is not None}
    assert set(labelled) == {f"{name}_t{t}" for name in ("one", "two") for t in range(4)}
    assert (labelled["one_t2"].labels == truth(0)[2]).all()
    assert (labelled["two_t0"].labels == truth(1)[0]).all()
    others = [v for v in found.volumes if v.labels is None]
    assert {v.name for v in others} == {f"three_t{t}" for t in phases(results, "three")}
    assert {v.patient for v in others} == {"three"}
    assert {v.spacing_mm for v in found.volumes} == {(1.5, 1.5)}


def test_the_voxels_are_those_of_the_scan(results: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        correct(results, name, 0, 1, 2, 3)
    found = {v.name: v for v in read_corrections(results).volumes}
    plain = {v.name: v for v in read_collection(tmp_path / "in").volumes}
    assert (found["one_t3"].voxels == plain["one_t3"].voxels).all()


def test_frames_of_a_cine_that_nobody_corrected_have_no_label(results: Path) -> None:
    """ED and ES were looked at; of the others, those that were changed."""
    expected = {}
    for name in ("one", "two"):
        shown = phases(results, name)
        other = next(t for t in range(4) if t not in shown)
        correct(results, name, other)
        expected[name] = shown | {other}
    found = read_corrections(results)
    for name, frames in expected.items():
        labelled = {v.name for v in found.volumes if v.patient == name and v.labels is not None}
        assert labelled == {f"{name}_t{t}" for t in frames}


def test_a_file_of_one_frame_labels_that_frame_alone(results: Path) -> None:
    for name in ("one", "two"):
        path = correct(results, name, 3)
        image = nib.load(path)
        frame = np.asarray(image.dataobj)[..., 3]
        nib.save(nib.Nifti1Image(frame, image.affine), path.with_name(f"{name}_04.nii.gz"))
        path.unlink()
    found = read_corrections(results)
    labelled = [v for v in found.volumes if v.labels is not None]
    assert {v.name for v in labelled} == {"one_t3", "two_t3"}
    assert all((v.labels == truth(HEARTS[v.patient])[3]).all() for v in labelled)
    rest = {v.name for v in found.volumes if v.patient == "one" and v.labels is None}
    assert rest == {f"one_t{t}" for t in phases(results, "one") - {3}}


def test_a_map_corrected_in_place_counts_too(results: Path) -> None:
    correct(results, "one", 0, 1, 2, 3)
    correct(results, "two", 0, 1, 2, 3, to=".")
    labels = read_labels(results / "two_seg.nii.gz")[1]
    found = {v.name: v for v in read_corrections(results).volumes}
    for t in phases(results, "two"):
        assert (found[f"two_t{t}"].labels == labels[t]).all()


def test_it_is_packed_into_the_run_and_read_back(results: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        correct(results, name, 0, 1, 2, 3)
    path = pack_corrections(results, tmp_path / "run" / "corrections.npz")
    assert path == tmp_path / "run" / "corrections.npz"
    read, direct = read_collection(path), read_corrections(results)
    assert [(v.patient, v.name) for v in read.volumes] == [
        (v.patient, v.name) for v in direct.volumes
    ]


def test_any_other_folder_is_left_as_it_is(results: Path, tmp_path: Path) -> None:
    pack = tmp_path / "run" / "corrections.npz"
    assert pack_corrections(tmp_path / "in", pack) == tmp_path / "in"
    assert pack_corrections(results, pack) == results  # without a correction
    assert not pack.parent.exists()
    with pytest.raises(InputError, match="without a corrected label map; put corrected ones into"):
        read_collection(results)


def test_one_corrected_patient_is_too_few(results: Path) -> None:
    correct(results, "one", 0)
    with pytest.raises(InputError, match=r"corrected label maps of two patients or more.*found 1"):
        read_corrections(results)


def test_the_scan_of_corrected_labels_must_be_there(
    results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        correct(results, name, 0)
    (tmp_path / "in" / "three.nii.gz").unlink()
    assert {v.patient for v in read_corrections(results).volumes} == {"one", "two"}
    assert "three: its scan is not there" in caplog.text
    shutil.move(tmp_path / "in" / "two.nii.gz", tmp_path / "elsewhere.nii.gz")
    with pytest.raises(InputError, match="the scan of corrected labels is gone; put it back"):
        read_corrections(results)


def test_a_corrected_map_of_another_grid_is_refused(results: Path) -> None:
    correct(results, "one", 0)
    image = nib.load(correct(results, "two", 0))
    array = np.asarray(image.dataobj)[:-1]
    nib.save(nib.Nifti1Image(array, image.affine), results / "edited" / "two_seg.nii.gz")
    with pytest.raises(InputError, match="is it of another scan, or resampled"):
        read_corrections(results)
