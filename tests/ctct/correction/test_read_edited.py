"""Corrected files of every format are read into the grid of the automatic labels, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nrrd")
pytest.importorskip("SimpleITK")
import SimpleITK
from tests_support import write_scan

from ctct.correction.edited_files import EditedFile
from ctct.correction.read_edited import read_edited
from ctct.errors import InputError
from ctct.io.nifti import encode_labels, read_nifti
from ctct.io.segment_nrrd import encode_segmentation, encode_sequence
from ctct.io.study import Study

SHAPE = (3, 4, 36, 40)  # frames, slices, rows, columns


@pytest.fixture
def study(tmp_path: Path) -> Study:
    write_scan(tmp_path / "cine.nii.gz", SHAPE[::-1])
    return read_nifti(tmp_path / "cine.nii.gz")


@pytest.fixture
def automatic() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 1:3, 10:20, 10:20] = 2
    labels[:, 1:3, 12:18, 12:18] = 3
    return labels


@pytest.fixture
def corrected(automatic: np.ndarray) -> np.ndarray:
    labels = automatic.copy()
    labels[1, 1, 12:17, 5:15] = 3  # 50 pixels
    return labels


def put(path: Path, content: bytes, frame: int | None = None) -> list[EditedFile]:
    path.write_bytes(content)
    return [EditedFile(path, frame)]


def test_a_nifti_saved_by_itk_is_read(
    study: Study, automatic: np.ndarray, corrected: np.ndarray, tmp_path: Path
) -> None:
    """ITK-SNAP reads and writes by ITK."""
    path = tmp_path / "cine_seg.nii.gz"
    path.write_bytes(encode_labels(study, automatic))
    image = SimpleITK.ReadImage(str(path))
    array = SimpleITK.GetArrayFromImage(image)
    array[1, 1, 12:17, 5:15] = 3
    edited = SimpleITK.GetImageFromArray(array.astype(np.float32), isVector=False)
    edited.CopyInformation(image)
    SimpleITK.WriteImage(edited, str(path))
    labels = read_edited("cine", [EditedFile(path)], study, automatic)
    assert (labels == corrected).all()


def test_a_sequence_is_read(
    study: Study, automatic: np.ndarray, corrected: np.ndarray, tmp_path: Path
) -> None:
    files = put(tmp_path / "cine.seq.nrrd", encode_sequence(study, corrected))
    assert (read_edited("cine", files, study, automatic) == corrected).all()


def test_a_segmentation_replaces_its_frame_alone(
    study: Study, automatic: np.ndarray, corrected: np.ndarray, tmp_path: Path
) -> None:
    content = encode_segmentation(study, corrected[1])
    files = put(tmp_path / "cine_02.seg.nrrd", content, frame=1)
    assert (read_edited("cine", files, study, automatic) == corrected).all()


def test_a_segmentation_cut_to_its_segments_is_put_in_its_place(
    study: Study, automatic: np.ndarray, corrected: np.ndarray, tmp_path: Path
) -> None:
    """3D Slicer saves the smallest box that holds all segments."""
    path = tmp_path / "cine_02.seg.nrrd"
    path.write_bytes(encode_segmentation(study, corrected[1]))
    image = SimpleITK.ReadImage(str(path))
    cut = image[5:22, 9:25, 1:3]
    for key in image.GetMetaDataKeys():
        if key.startswith("Segment"):
            cut.SetMetaData(key, image.GetMetaData(key))
    SimpleITK.WriteImage(cut, str(path), True)
    assert (read_edited("cine", [EditedFile(path, 1)], study, automatic) == corrected).all()


def test_of_a_file_of_all_scans_of_a_patient_one_frame_is_taken(
    study: Study, automatic: np.ndarray, corrected: np.ndarray, tmp_path: Path
) -> None:
    """ED and ES in two files, which the demo joins and saves as one."""
    path = tmp_path / "P1_seg.nii.gz"
    path.write_bytes(encode_labels(study, corrected))
    one = replace(study, voxels=study.voxels[1:2], label_encoder=None)
    labels = read_edited("P1_ES", [EditedFile(path, part=(1, 3))], one, automatic[1:2])
    assert (labels == corrected[1:2]).all()
    with pytest.raises(InputError, match="holds 3 frames, the patient has 2 scans of one frame"):
        read_edited("P1_ES", [EditedFile(path, part=(1, 2))], one, automatic[1:2])


def moved(study: Study, by_mm: float) -> Study:
    affine = study.affine.copy()
    affine[0, 3] += by_mm
    return replace(study, affine=affine, label_encoder=None)


def wrong(kind: str, study: Study, labels: np.ndarray) -> tuple[str, bytes, int | None]:
    """A file that cannot be of the study: its name, its content and its frame."""
    half = replace(study, voxels=study.voxels[:2], label_encoder=None)
    small = replace(study, voxels=study.voxels[:, :, :-1], label_encoder=None)
    coarse = replace(study, affine=study.affine @ np.diag([1.1, 1, 1, 1]), label_encoder=None)
    return {
        "half the phases, NIfTI": ("a.nii.gz", encode_labels(half, labels[:2]), None),
        "half the phases, NRRD": ("a.seq.nrrd", encode_sequence(study, labels[:2]), None),
        "another grid, NIfTI": ("a.nii.gz", encode_labels(small, labels[:, :, :-1]), None),
        "another grid, NRRD": ("a.seq.nrrd", encode_sequence(coarse, labels), None),
        "another place, NIfTI": ("a.nii.gz", encode_labels(moved(study, 7.0), labels), None),
        "another place, NRRD": ("a.seq.nrrd", encode_sequence(moved(study, 0.7), labels), None),
        "outside, NRRD": ("a.seq.nrrd", encode_sequence(moved(study, 36.25), labels), None),
        "other labels": ("a.nii.gz", encode_labels(study, labels + (labels == 3) * 4), None),
        "a frame too many": ("a_04.seg.nrrd", encode_segmentation(study, labels[0]), 3),
        "a cine called a frame": ("a_01.seq.nrrd", encode_sequence(study, labels), 0),
        "damaged": ("a.nii.gz", encode_labels(study, labels)[:100], None),
    }[kind]


REASONS = {
    "half the phases, NIfTI": "holds 2 frames, the scan has 3; give all frames",
    "half the phases, NRRD": "holds 2 frames, the scan has 3; give all frames",
    "another grid, NIfTI": r"40 × 35 × 4 voxels, the automatic label map has 40 × 36 × 4",
    "another grid, NRRD": "do not coincide with those of the scan",
    "another place, NIfTI": "lies up to 7.0 mm from",
    "another place, NRRD": "do not coincide with those of the scan",
    "outside, NRRD": "labelled voxels lie outside the scan",
    "other labels": "label map holds 7; expected 0 and 1",
    "a frame too many": "is called frame 4 of cine, which has 3",
    "a cine called a frame": "holds 3 frames, its name says one",
    "damaged": "cannot be read|truncated",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_map_that_does_not_fit_gets_one_clear_line(
    kind: str, study: Study, automatic: np.ndarray, tmp_path: Path
) -> None:
    name, content, frame = wrong(kind, study, automatic)
    files = put(tmp_path / name, content, frame)
    with pytest.raises(InputError, match=REASONS[kind]) as raised:
        read_edited("cine", files, study, automatic)
    assert "\n" not in str(raised.value)
    assert str(tmp_path / name) in str(raised.value)
