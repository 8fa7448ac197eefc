"""Label maps of 3D Slicer: written by pynrrd, read back by SimpleITK and by ctct."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nrrd")
pytest.importorskip("SimpleITK")
import nrrd
import SimpleITK

from ctct.errors import InputError
from ctct.io.segment_nrrd import (
    encode_segmentation,
    encode_sequence,
    name_structure,
    read_segments,
)
from ctct.io.study import Study

#: An oblique, sheared stack: column, row and slice steps of 1.2, 1.4 and 8 mm.
AFFINE = np.array(
    [[1.2, 0.1, 0.0, -30.123456789], [0.05, 1.4, 0.3, 12.7], [0.01, -0.2, 8.0, 5.5], [0, 0, 0, 1]]
)
LABELS = np.random.default_rng(0).integers(0, 4, (3, 4, 6, 5)).astype(np.uint8)
STUDY = Study("cine", np.ones(LABELS.shape, np.float32), (1.4, 1.2), 8.0, AFFINE)


@pytest.mark.parametrize("order", ["acdc", "mnms"])
def test_a_frame_comes_back_with_equal_labels_and_geometry(order: str, tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    path.write_bytes(encode_segmentation(STUDY, LABELS[1], order))
    study, labels = read_segments(path)  # by the names of the segments
    assert (labels == LABELS[1:2]).all()
    assert (study.affine == AFFINE).all()


@pytest.mark.parametrize("order", ["acdc", "mnms"])
def test_a_cine_comes_back_with_equal_labels_and_geometry(order: str, tmp_path: Path) -> None:
    path = tmp_path / "a.seq.nrrd"
    path.write_bytes(encode_sequence(STUDY, LABELS, order))
    study, labels = read_segments(path, order)
    assert (labels == LABELS).all()
    assert (study.affine == AFFINE).all()


def test_itk_finds_labels_names_colors_and_place(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    path.write_bytes(encode_segmentation(STUDY, LABELS[0]))
    image = SimpleITK.ReadImage(str(path))
    assert (SimpleITK.GetArrayFromImage(image) == LABELS[0]).all()
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert [fields[f"Segment{n}_Name"] for n in range(3)] == ["RV", "MYO", "LV"]
    assert [fields[f"Segment{n}_LabelValue"] for n in range(3)] == ["1", "2", "3"]
    assert fields["Segment2_Color"] == "0.901961 0.380392 0.000000"  # 230, 97, 0 of 255
    assert fields["Segment0_Extent"] == "0 4 0 5 0 3"
    # Millimeters of the far corner; ITK's x and y run the other way.
    at = image.TransformIndexToPhysicalPoint((4, 5, 3))
    expected = (AFFINE @ [4, 5, 3, 1])[:3] * [-1, -1, 1]
    assert at == pytest.approx(expected, abs=0.5)  # ITK drops the shear


def test_itk_finds_the_frames_of_a_cine_as_components(tmp_path: Path) -> None:
    path = tmp_path / "a.seq.nrrd"
    path.write_bytes(encode_sequence(STUDY, LABELS))
    image = SimpleITK.ReadImage(str(path))
    assert image.GetNumberOfComponentsPerPixel() == 3
    assert (SimpleITK.GetArrayFromImage(image) == np.moveaxis(LABELS, 0, -1)).all()
    header = nrrd.read_header(str(path))
    assert header["kinds"] == ["list", "domain", "domain", "domain"]
    assert header["DataNodeClassName"] == "vtkMRMLLabelMapVolumeNode"
    assert header["axis 0 index values"] == "0 1 2"


def test_the_same_labels_are_the_same_bytes() -> None:
    first, second = (encode_segmentation(STUDY, LABELS[0]) for _ in range(2))
    assert first == second
    assert b"\n# on " not in first


def test_an_empty_structure_has_an_empty_extent(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    path.write_bytes(encode_segmentation(STUDY, np.zeros_like(LABELS[0])))
    assert nrrd.read_header(str(path))["Segment0_Extent"] == "0 -1 0 -1 0 -1"
    assert not read_segments(path)[1].any()


def test_segments_in_layers_are_joined_by_name(tmp_path: Path) -> None:
    array = np.zeros((2, 5, 6, 4), np.uint8)  # layer, column, row, slice
    array[0, 1, 2, 3], array[1, 4, 5, 0] = 1, 1
    header = {"kinds": ["list", "domain", "domain", "domain"], "space": "LPS"}
    header["space directions"] = np.vstack([[np.nan] * 3, np.eye(3)])
    for number, name in enumerate(("Left ventricle", "rv")):
        header |= {f"Segment{number}_ID": f"S{number}", f"Segment{number}_Name": name}
        header |= {f"Segment{number}_Layer": str(number), f"Segment{number}_LabelValue": "1"}
    path = tmp_path / "a.seg.nrrd"
    nrrd.write(str(path), array, header)
    _, labels = read_segments(path)
    assert np.argwhere(labels).tolist() == [[0, 0, 5, 4], [0, 3, 2, 1]]
    assert labels[0, 0, 5, 4] == 1
    assert labels[0, 3, 2, 1] == 3


@pytest.mark.parametrize(
    ("name", "structure"),
    [("LV", "LV"), ("left ventricle", "LV"), ("Myocardium", "MYO"), ("tumor", None)],
)
def test_structures_go_by_usual_names(name: str, structure: str | None) -> None:
    assert name_structure(name) == structure


def rename(content: bytes, old: bytes, new: bytes) -> bytes:
    head, gap, voxels = content.partition(b"\n\n")
    assert old in head
    return head.replace(old, new) + gap + voxels


GOOD = encode_segmentation(STUDY, LABELS[0])
BAD = {
    "segment": (rename(GOOD, b"Segment1_Name:=MYO", b"Segment1_Name:=scar"), "'scar'; call the"),
    "layer": (rename(GOOD, b"Segment1_Layer:=0", b"Segment1_Layer:=3"), "in layer 3 of 1"),
    "cut": (GOOD[:-20], "not a usable NRRD file"),
    "text": (b"this is no image", "not a usable NRRD file"),
    "elsewhere": (rename(GOOD, b"type: uint8", b"type: uint8\ndata file: x.raw"), "another file"),
    "huge": (rename(GOOD, b"sizes: 5 6 4", b"sizes: 99999 99999 4"), "too many for labels"),
    "flat": (rename(GOOD, b"dimension: 3", b"dimension: 2"), "2-D|not a usable"),
    "space": (rename(GOOD, b"left-posterior-superior", b"scanner-xyz"), "'scanner-xyz'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_each_bad_file_gets_one_clear_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    content, expected = BAD[kind]
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected) as raised:
        read_segments(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_overlapping_segments_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    path.write_bytes(rename(GOOD, b"Segment1_LabelValue:=2", b"Segment1_LabelValue:=1"))
    with pytest.raises(InputError, match="turn off overlaps"):
        read_segments(path)


def test_numbers_of_another_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.seq.nrrd"
    path.write_bytes(encode_sequence(STUDY, LABELS))
    array, header = nrrd.read(str(path))
    nrrd.write(str(path), array * 2, header)
    with pytest.raises(InputError, match="label map holds 4, 6"):
        read_segments(path)
