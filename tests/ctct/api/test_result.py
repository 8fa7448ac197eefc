"""What a result shows and writes."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

import ctct
from ctct.api.inputs import as_study
from ctct.api.result import Result
from ctct.errors import InputError
from ctct.inference.segmentation import Segmentation
from ctct.labels import LV, MYO, VALUE
from ctct.prediction.case_result import analyze_case


def beating(name: str = "cine", frames: int = 2) -> Result:
    """A round LV in a ring, 4 × 4 pixels inside in frame 0, 2 × 2 in frame 1; 0.01 mL per voxel."""
    study = ctct.Study.from_array(
        np.random.default_rng(0).random((frames, 3, 40, 40)), (10.0, 1.0, 1.0), name
    )
    labels = np.zeros(study.voxels.shape, np.uint8)
    for frame, half in zip(range(frames), (2, 1), strict=False):
        labels[frame, :, 14:26, 14:26] = VALUE[MYO]
        labels[frame, :, 20 - half : 20 + half, 20 - half : 20 + half] = VALUE[LV]
    return Result(analyze_case(Segmentation(study, labels, np.full(labels.shape, 0.1, np.float16))))


def test_numbers_by_hand() -> None:
    result = beating()
    assert (result.ed, result.es) == (0, 1)
    assert result.indices["LVEDV (mL)"] == pytest.approx(16 * 3 * 0.01)
    assert result.indices["LVESV (mL)"] == pytest.approx(4 * 3 * 0.01)
    assert result.indices["LVEF (%)"] == pytest.approx(75)
    assert result.quality.verdict in ("ok", "review", "reject")
    result.indices["LVEF (%)"] = 0  # a copy
    assert result.indices["LVEF (%)"] == pytest.approx(75)


def test_a_single_frame_has_volumes_and_no_phases() -> None:
    result = beating(frames=1)
    assert result.ed is None
    assert result.es is None
    assert result.indices == {}
    assert "LV (mL) 0.5" in repr(result)


@pytest.mark.parametrize("name", ["out/cine_seg.nii.gz", "cine_seg.nii"])
def test_labels_are_saved_and_read_back(tmp_path: Path, name: str) -> None:
    result = beating()
    path = result.save(tmp_path / name)
    image = nib.load(path)
    labels = np.asarray(image.dataobj).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(labels, result.labels)
    assert image.header.get_zooms()[:3] == (1.0, 1.0, 10.0)
    np.testing.assert_array_equal(image.affine, result.study.affine)


def test_labels_in_another_order(tmp_path: Path) -> None:
    path = beating().save(tmp_path / "seg.nii.gz", label_order="mnms")
    values = np.unique(np.asarray(nib.load(path).dataobj))
    assert values.tolist() == [0, 1, 2]  # LV is 1 there


def test_bad_names_and_orders(tmp_path: Path) -> None:
    result = beating()
    with pytest.raises(InputError, match=r"\.nii\.gz or \.nii"):
        result.save(tmp_path / "seg.png")
    with pytest.raises(InputError, match="unknown label order"):
        result.save(tmp_path / "seg.nii.gz", label_order="mine")  # type: ignore[arg-type]
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ctct.errors.OutputError, match="cannot write"):
        result.save(blocked / "seg.nii.gz")


def test_nibabel_image_has_the_geometry_of_its_scan() -> None:
    affine = np.array([[0, -1.2, 0, 5], [1.1, 0, 0, 6], [0, 0, 8.0, 7], [0, 0, 0, 1]])
    image = nib.Nifti1Image(np.random.default_rng(0).random((40, 50, 3, 2)), affine)
    with ctct.load_model(device="cpu") as model:
        labels = model.segment(image).to_nibabel()
    assert labels.shape == image.shape
    assert labels.get_data_dtype() == np.uint8
    np.testing.assert_allclose(labels.affine, affine)


def test_the_report_is_one_page(tmp_path: Path) -> None:
    path = beating("a <script> name").report(tmp_path / "new" / "cine.html")
    page = path.read_text("utf-8")
    assert "a &lt;script&gt; name" in page
    assert "<script> name" not in page
    assert "LVEF (%)" in page
    assert not re.search(r"(src|href)=.https?://", page)


def test_what_a_terminal_and_a_notebook_show() -> None:
    result = beating("a <b> name")
    assert repr(result).startswith(
        "Result('a <b> name': 2 frames, 3 slices of 40×40; LVEDV (mL) 0.5"
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(result)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "LVEF (%)" in printed
    assert "75.0" in printed
    html = result._repr_html_()
    assert "a &lt;b&gt; name" in html
    assert "data:image/png;base64," in html
    assert "<th>LVEF (%)</th><td>75.0</td>" in html


def test_names_that_look_like_markup() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(beating("a[red]b[/i]"))
    assert "a[red]b[/i]" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 frame, 3 slices" in repr(beating(frames=1))


def test_threads_may_save_to_one_path(tmp_path: Path) -> None:
    result = beating()
    with ThreadPoolExecutor(4) as threads:
        paths = list(threads.map(lambda _: result.save(tmp_path / "seg.nii.gz"), range(40)))
    assert set(paths) == {tmp_path / "seg.nii.gz"}
    assert [path.name for path in tmp_path.iterdir()] == ["seg.nii.gz"]


@pytest.mark.parametrize("path", ["", "seg\0.nii.gz", None, 7])
def test_paths_that_are_none(path: object) -> None:
    for write in (beating().save, beating().report):
        with pytest.raises(InputError, match="give a path"):
            write(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nibabel_image_is_of_the_kind_of_its_scan(kind: type, order: str) -> None:
    header = kind.header_class(endianness=order)  # type: ignore[attr-defined]
    header.set_data_dtype(np.float32)
    image = kind(np.random.default_rng(0).random((40, 50, 3)), np.diag([1.0, 1, 8, 1]), header)
    study = as_study(image)
    labels = np.ones(study.voxels.shape, np.uint8)
    disagreement = np.zeros(labels.shape, np.float16)
    saved = Result(analyze_case(Segmentation(study, labels, disagreement))).to_nibabel()
    assert type(saved) is kind
    assert saved.shape == image.shape
    assert np.asarray(saved.dataobj).all()
