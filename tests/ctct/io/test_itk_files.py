"""MetaImage and NRRD files give studies, and read no files of other folders."""

from __future__ import annotations

import gzip
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

pytest.importorskip("SimpleITK")
import fuzz_itk
import SimpleITK as sitk  # noqa: N813

from ctct.cases.discover import discover
from ctct.cases.read import read_study
from ctct.errors import InputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.io import itk_files
from ctct.io.itk_files import read_itk

#: Directions of x, y and z as columns (LPS), oblique; spacing and position in millimeters.
DIRECTION = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
SPACING, ORIGIN = (1.5, 1.25, 8.0), (5.0, -6.0, 7.0)
#: (t, z, y, x): says which voxel it is.
VOXELS = np.add.outer(
    1000 * np.arange(7),
    np.add.outer(100 * np.arange(3), np.add.outer(np.arange(40), np.arange(36))),
).astype(np.int16)


def image(array: np.ndarray, vector: bool = False) -> Any:
    """A SimpleITK image of ``array`` with the geometry above."""
    made = sitk.GetImageFromArray(array, isVector=vector)
    n = made.GetDimension()
    direction = np.eye(n)
    direction[: min(n, 3), : min(n, 3)] = DIRECTION[:n, :n]
    made.SetDirection(direction.ravel())
    made.SetSpacing([*SPACING, 40.0][:n])
    made.SetOrigin([*ORIGIN, 0.0][:n])
    return made


def saved(made: Any, path: Path, packed: bool = False) -> Path:
    sitk.WriteImage(made, str(path), packed)
    return path


def ras(column: int, row: int, place: int) -> np.ndarray:
    lps = np.array(ORIGIN) + DIRECTION @ (np.array(SPACING) * [column, row, place])
    return lps * [-1, -1, 1]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd", "nhdr"])
def test_a_cine_of_four_dimensions(tmp_path: Path, ending: str, packed: bool) -> None:
    study = read_study(saved(image(VOXELS), tmp_path / f"cine.{ending}", packed))
    assert study.name == "cine"
    np.testing.assert_array_equal(study.voxels, VOXELS)
    assert study.spacing_mm == pytest.approx((1.25, 1.5))  # row, column
    assert study.slice_spacing_mm == pytest.approx(8)
    np.testing.assert_allclose((study.affine @ [4, 7, 2, 1])[:3], ras(4, 7, 2), atol=1e-6)


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_phases_as_components_of_each_voxel(tmp_path: Path, ending: str) -> None:
    vectors = np.ascontiguousarray(np.moveaxis(VOXELS, 0, -1))
    study = read_study(saved(image(vectors, vector=True), tmp_path / f"cine.{ending}"))
    np.testing.assert_array_equal(study.voxels, VOXELS)


def test_one_frame_and_one_slice(tmp_path: Path) -> None:
    study = read_study(saved(image(VOXELS[0]), tmp_path / "frame.mha"))
    np.testing.assert_array_equal(study.voxels, VOXELS[:1])
    study = read_study(saved(image(VOXELS[0, 0]), tmp_path / "slice.nrrd"))
    np.testing.assert_array_equal(study.voxels, VOXELS[:1, :1])
    assert np.isnan(study.slice_spacing_mm)


def test_labels_overlay_the_image(tmp_path: Path) -> None:
    study = read_study(saved(image(VOXELS), tmp_path / "cine.nrrd"))
    labels = np.zeros(study.voxels.shape, np.uint8)
    labels[5, 2, 7, 4] = 3
    assert study.label_encoder is not None
    written = nib.Nifti1Image.from_bytes(gzip.decompress(study.label_encoder.encode_labels(labels)))
    assert np.argwhere(np.asarray(written.dataobj)).tolist() == [[4, 7, 2, 5]]
    np.testing.assert_allclose((written.affine @ [4, 7, 2, 1])[:3], ras(4, 7, 2), atol=1e-4)


def test_slices_along_another_axis_are_found(tmp_path: Path) -> None:
    turned = image(np.ascontiguousarray(VOXELS[0].transpose(1, 0, 2)))  # x, slices, y
    turned.SetSpacing((1.5, 8.0, 1.25))
    study = read_study(saved(turned, tmp_path / "frame.mha"))
    np.testing.assert_array_equal(study.voxels, VOXELS[:1])
    assert (*study.spacing_mm, study.slice_spacing_mm) == pytest.approx((1.25, 1.5, 8))


@pytest.mark.parametrize("space", ["right-anterior-superior", "left-anterior-superior"])
@pytest.mark.parametrize("time", [False, True])
def test_nrrd_axes_follow_the_space_of_the_header(tmp_path: Path, space: str, time: bool) -> None:
    array = VOXELS if time else VOXELS[0]
    axes = ["(1.5,0,0{})", "(0,1.25,0{})", "(0,0,8{})", "(0,0,0,40)"][: array.ndim]
    lines = [
        f"NRRD0005\ntype: short\ndimension: {array.ndim}",
        f"space: {space}{'-time' if time else ''}",
        f"sizes: {' '.join(map(str, array.shape[::-1]))}",
        "space directions: " + " ".join(axis.format(",0" * time) for axis in axes),
        f"space origin: (1,2,3{',0' * time})\nendian: little\nencoding: raw\n\n",
    ]
    (tmp_path / "x.nrrd").write_bytes("\n".join(lines).encode() + array.tobytes())
    at = (read_study(tmp_path / "x.nrrd").affine @ [4, 8, 2, 1])[:3]
    left = space.startswith("left")
    np.testing.assert_allclose(at, [-7 if left else 7, 12, 19])


def damage(path: Path, change: Callable[[bytes], bytes]) -> Path:
    content = path.read_bytes()
    assert change(content) != content
    path.write_bytes(change(content))
    return path


@pytest.mark.parametrize(
    ("ending", "old", "new", "why"),
    [
        ("mha", b"DimSize = 36 40 3 7", b"DimSize = 36 40 9999 9999", "header promises"),
        ("nrrd", b"sizes: 36 40 3 7", b"sizes: 36 40 9999 9999", "header promises"),
        ("mha", b"DimSize = 36 40 3 7", b"DimSize = 36 0 3 7", "expected 2 to 4 dimensions"),
        ("mha", b"Matrix = 0.59999999999999998", b"Matrix = 1e308", "axes or its position"),
        ("mha", b"Offset = 5", b"Offset = 5e33", "axes or its position"),
        ("mha", b"ElementSpacing = 1.5", b"ElementSpacing = 0", "copy or download it again"),
        ("mha", b"DimSize = 36 40 3 7", b"DimSize = 36 40 3 8", "copy or download it again"),
        ("nrrd", b"NRRD", b"XRRD", "copy or download it again"),
        ("mha", b"ElementDataFile = LOCAL", b"ElementDataFile = /dev/zero", "in the same folder"),
        ("mhd", b"ElementDataFile = x.raw", b"ElementDataFile = LIST", "in the same folder"),
        ("mhd", b"ElementDataFile = x.raw", b"ElementDataFile = ../x.raw", "in the same folder"),
        ("mhd", b"ElementDataFile = x.raw", b"ElementDataFile = x%d.raw", "in the same folder"),
        ("mhd", b"ElementDataFile", b"Comment", "does not say once where its voxels are"),
        ("nhdr", b"data file: x.raw", b"datafile: /dev/zero", "in the same folder"),
        ("nrrd", b"kinds:", b"data file: /dev/zero\nkinds:", "in the same folder"),
        ("mhd", b"x.raw", b"gone.raw", "is not there"),
    ],
)
def test_unusable_files_are_refused_with_the_reason(
    tmp_path: Path, ending: str, old: bytes, new: bytes, why: str
) -> None:
    path = saved(image(VOXELS), tmp_path / f"x.{ending}")
    damage(path, lambda content: content.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"x\.{ending}: .*{why}"):
        read_study(path)


def test_a_header_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = saved(image(VOXELS), tmp_path / "x.nrrd")
    more = b"# \n" * 2**19 + b"data file: /dev/zero\nkinds:"
    damage(path, lambda content: content.replace(b"kinds:", more, 1))
    with pytest.raises(InputError, match="does not say once where its voxels are"):
        read_study(path)


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_file_is_refused(tmp_path: Path, ending: str, packed: bool) -> None:
    path = saved(image(VOXELS), tmp_path / f"x.{ending}", packed)
    damage(path, lambda content: content[:-50])
    with pytest.raises(InputError, match=r"damaged, cut short or not what it is called"):
        read_study(path)


def test_a_compressed_file_with_too_few_voxels_is_refused(tmp_path: Path) -> None:
    path = saved(image(VOXELS), tmp_path / "x.mha", True)
    damage(path, lambda content: content.replace(b"36 40 3 7", b"36 40 3 8", 1))
    with pytest.raises(InputError, match="damaged, cut short"):
        read_study(path)


def test_color_is_refused(tmp_path: Path) -> None:
    color = np.zeros((3, 40, 36, 3), np.uint8)
    with pytest.raises(InputError, match="convert to one gray value"):
        read_study(saved(image(color, vector=True), tmp_path / "x.nrrd"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["x.mhd", "x.raw"])
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    path = saved(image(VOXELS), tmp_path / "x.mhd")
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="a pipe or device"):
        read_study(path)


def test_names_in_any_script(tmp_path: Path) -> None:
    assert read_study(saved(image(VOXELS), tmp_path / "心臓 é.mha")).name == "心臓 é"


def test_files_are_found_among_other_formats(tmp_path: Path) -> None:
    for name in ("a.mha", "b.NRRD", "c.seg.nrrd", "d_gt.mha"):
        saved(image(VOXELS[0]), tmp_path / name)
    write_scan(tmp_path / "e.nii.gz")
    cases, labels = discover([tmp_path])
    assert [case.name for case in cases] == ["a", "b", "e"]
    assert [path.name for path in labels] == ["c.seg.nrrd", "d_gt.mha"]


def test_without_simpleitk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(image(VOXELS), tmp_path / "a.mha")
    for module in (sys.modules["ctct.cases.discover"], itk_files):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(RuntimeUnavailableError, match=re.escape(how_to_install("itk"))):
        read_itk(path)
    with pytest.raises(RuntimeUnavailableError, match=re.escape(how_to_install("itk"))):
        discover([tmp_path])
    write_scan(tmp_path / "b.nii.gz")
    assert [case.name for case in discover([tmp_path])[0]] == ["b"]


@pytest.mark.slow
def test_damaged_files_give_a_study_or_an_input_error() -> None:
    tally = fuzz_itk.run(400)
    assert tally.failures == []
    assert tally.outcomes["Study"] > 40
    assert tally.outcomes["InputError"] > 40  # those that exceed the deadline too


def test_rows_and_columns_that_are_not_at_right_angles_are_noted(tmp_path: Path) -> None:
    scan = image(np.zeros((4, 6, 5), np.int16))
    assert read_itk(saved(scan, tmp_path / "straight.mha")).notes == ()
    scan.SetDirection((1, 0.5, 0, 0, np.sqrt(0.75), 0, 0, 0, 1))
    (note,) = read_itk(saved(scan, tmp_path / "sheared.mha")).notes
    assert "not at right angles (60°)" in note
