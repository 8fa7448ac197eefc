"""The same slices, stored in different ways, get the same labels."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctct.cases.discover import discover
from ctct.cases.read import read_case
from ctct.inference.segmenter import ModelSpec, Segmenter
from ctct.io.nifti import encode_labels, read_nifti
from ctct.io.orientation import Orientation, find_orientation
from ctct.io.study import Study
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.base import Prediction
from ctct.synthetic.cine import synthetic_cine

#: Columns, rows and slices (RAS+) of a usual short axis, of voxels of 1.2 x 1.5 x 8 mm.
AXES = np.transpose([(-0.6, -0.8, 0), (0.48, -0.36, -0.8), (0.64, -0.48, 0.6)]) * [1.2, 1.5, 8]
WAYS = [
    Orientation(transposed, axes)
    for transposed in (False, True)
    for axes in ((), (-1,), (-2,), (-2, -1), (-3,), (-3, -2, -1))
]


class PlaceRuntime:
    """Labels the left half RV, the upper right quarter MYO and the rest LV; tells the spacing."""

    name, device = "place", "cpu"

    def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
        labels = np.full(slices[:, 0].shape, 3, np.uint8)
        rows, columns = labels.shape[1:]
        labels[:, : rows // 2] = 2
        labels[:, :, : columns // 2] = 1
        return Prediction(labels, np.ones(labels.shape, np.float32) * spacing_mm[:, :1, None] / 10)


@pytest.fixture
def place() -> Segmenter:
    return Segmenter(ModelFile(Path("place.onnx"), {}, "0" * 64), PlaceRuntime())


def usual_study(frames: int = 2) -> Study:
    voxels = np.random.default_rng(0).uniform(0, 200, (frames, 3, 34, 40)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = AXES
    return Study("case", voxels, (1.5, 1.2), 8.0, affine)


def stored(study: Study, way: Orientation) -> Study:
    """The same study, stored in another way."""
    # Of a volume of indices, what is found first and next along each axis tells the new affine.
    index = np.stack(np.indices(study.voxels.shape[1:])[::-1])  # (3, Z, H, W): column, row, slice
    moved = np.stack([way.to_stored(axis) for axis in index])
    origin = moved[:, 0, 0, 0]
    steps = (
        np.transpose([moved[:, 0, 0, 1], moved[:, 0, 1, 0], moved[:, 1, 0, 0]]) - origin[:, None]
    )
    change = np.eye(4)
    change[:3, :3], change[:3, 3] = steps, origin
    return replace(
        study,
        voxels=np.ascontiguousarray(way.to_stored(study.voxels)),
        spacing_mm=study.spacing_mm[::-1] if way.transposed else study.spacing_mm,
        affine=study.affine @ change,
    )


@pytest.mark.parametrize("way", WAYS)
def test_labels_and_disagreement_come_back_as_the_study_is_stored(
    way: Orientation, place: Segmenter
) -> None:
    expected = place.segment(usual_study(), clean_up=False)
    study = stored(usual_study(), way)
    found = place.segment(study, clean_up=False)
    assert found.study is study
    assert (way.to_usual(found.labels) == expected.labels).all()
    assert (way.to_usual(found.disagreement) == expected.disagreement).all()
    assert expected.disagreement[0, 0, 0, 0] == np.float16(0.15)


def test_studies_stored_in_different_ways_share_batches(place: Segmenter) -> None:
    expected = place.segment(usual_study(), clean_up=False).labels
    studies = [stored(usual_study(), way) for way in WAYS]
    outcomes = {id(outcome.study): outcome for outcome in place.segment_all(studies)}
    for way, study in zip(WAYS, studies, strict=True):
        found = outcomes[id(study)].segmentation
        assert found is not None
        assert (way.to_usual(found.labels) == expected).all()


def test_without_an_orientation_nothing_is_turned(place: Segmenter) -> None:
    study = replace(usual_study(), affine=np.diag([-1.2, 1.5, 8, 1]))
    expected = place.segment(usual_study(), clean_up=False).labels
    assert (place.segment(study, clean_up=False).labels == expected).all()


def test_reoriented_nifti_files_get_the_same_labels(tmp_path: Path, place: Segmenter) -> None:
    study = usual_study()
    image = nib.Nifti1Image(study.voxels.transpose(3, 2, 1, 0), study.affine)
    expected = place.segment(study, clean_up=False).labels
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        path = tmp_path / "turned.nii"
        turned = image.as_reoriented(np.transpose([order, signs]).astype(float))
        nib.save(turned, path)
        read = read_nifti(path)
        labels = place.segment(read, clean_up=False).labels
        path.with_suffix(".nii.gz").write_bytes(encode_labels(read, labels))
        saved = nib.load(path.with_suffix(".nii.gz"))
        assert np.allclose(saved.affine, turned.affine)
        assert saved.shape == turned.shape
        back = nib.orientations.ornt_transform(
            nib.io_orientation(saved.affine), nib.io_orientation(image.affine)
        )
        array = np.asarray(saved.as_reoriented(back).dataobj).transpose(3, 2, 1, 0)
        assert (array == expected).all()


def test_mha_with_a_direction_gets_the_same_labels(tmp_path: Path, place: Segmenter) -> None:
    sitk = pytest.importorskip("SimpleITK")
    study = usual_study(frames=1)
    image = sitk.GetImageFromArray(study.voxels[0])
    image.SetSpacing((1.2, 1.5, 8.0))
    image.SetDirection((np.diag([-1, -1, 1]) @ AXES / [1.2, 1.5, 8]).ravel().tolist())
    turned = sitk.Flip(sitk.PermuteAxes(image, (1, 0, 2)), (True, False, True))
    sitk.WriteImage(turned, str(tmp_path / "turned.mha"))
    (case,), _ = discover([tmp_path / "turned.mha"])
    read = read_case(case)
    way = find_orientation(read.affine)
    assert way.transposed
    expected = place.segment(study, clean_up=False).labels
    assert (way.to_usual(place.segment(read, clean_up=False).labels) == expected).all()


def test_dicom_with_rows_and_columns_exchanged_gets_the_same_labels(
    tmp_path: Path, place: Segmenter
) -> None:
    pytest.importorskip("pydicom")
    from dicom_support import COLUMN, COLUMNS, ROW, ROWS, SPACING_MM, frame, write_cine

    def exchange(phase: int, index: int) -> dict[str, object]:
        return {
            "ImageOrientationPatient": [f"{v:.6f}" for v in (*COLUMN, *ROW)],
            "PixelSpacing": list(SPACING_MM[::-1]),
            "PixelData": np.ascontiguousarray(frame(phase, index).T).tobytes(),
            "Rows": COLUMNS,
            "Columns": ROWS,
        }

    found = []
    for name, change in (("usual", lambda *_: {}), ("exchanged", exchange)):
        (case,), _ = discover([write_cine(tmp_path / name, change=change)])
        study = read_case(case)
        way = find_orientation(study.affine)
        assert way.transposed == (name == "exchanged")
        assert (-3 in way.reversed_axes) == (name == "exchanged")
        segmentation = place.segment(study, clean_up=False)
        found.append((way.to_usual(study.voxels), way.to_usual(segmentation.labels)))
    for usual, exchanged in zip(*found, strict=True):
        assert (usual == exchanged).all()


def test_the_bundled_model_labels_each_way_alike() -> None:
    sample, _ = synthetic_cine(0, 1, 4)
    affine = np.eye(4)
    affine[:3, :3] = AXES / [1.2, 1.5, 8] * [*sample.spacing_mm, sample.slice_spacing_mm]
    study = replace(sample, affine=affine)
    with ModelSpec(device="cpu").load() as segmenter:
        expected = segmenter.segment(study)
        assert (segmenter.segment(sample, clean_up=False).labels == expected.labels).mean() > 0.99
        for way in (Orientation(True, (-1,)), Orientation(False, (-3, -2))):
            found = segmenter.segment(stored(study, way))
            assert (way.to_usual(found.labels) == expected.labels).all()
            assert (way.to_usual(found.disagreement) == expected.disagreement).all()
