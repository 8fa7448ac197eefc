"""Every kind of input becomes the same study, and every bad one a typed error with a remedy."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import ctct
from ctct.api.inputs import as_study
from ctct.errors import InputError
from ctct.io.nifti import encode_labels, encode_study
from ctct.synthetic import synthetic_cine

SPACING_MM = (8.0, 1.5, 1.25)  # slice, row, column


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3, 40, 50), (2, 3, 40, 50)), ((3, 40, 50), (1, 3, 40, 50)), ((40, 50), (1, 1, 40, 50))],
)
def test_arrays_of_two_to_four_dimensions(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    study = as_study(ramp(*shape), SPACING_MM, name="mine")
    assert study.voxels.shape == expected
    assert study.voxels.dtype == np.float32
    assert study.name == "mine"
    assert study.spacing_mm == (1.5, 1.25)
    assert study.slice_spacing_mm == 8.0
    assert study.voxel_ml == pytest.approx(8.0 * 1.5 * 1.25 / 1000)
    np.testing.assert_array_equal(np.diag(study.affine), [1.25, 1.5, 8.0, 1.0])


def test_a_single_slice_needs_no_slice_spacing() -> None:
    study = as_study(ramp(40, 50), (1.5, 1.25))
    assert study.spacing_mm == (1.5, 1.25)
    assert np.isnan(study.slice_spacing_mm)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.float16, np.float64])
def test_integers_and_floats_of_any_width(dtype: type) -> None:
    array = (ramp(3, 40, 50) % 100).astype(dtype)
    np.testing.assert_array_equal(as_study(array, SPACING_MM).voxels[0], array.astype(np.float32))


def test_a_tensor_is_an_array() -> None:
    torch = pytest.importorskip("torch")
    study = as_study(torch.from_numpy(ramp(3, 40, 50)), SPACING_MM)
    np.testing.assert_array_equal(study.voxels[0], ramp(3, 40, 50))


@pytest.mark.parametrize(
    ("array", "spacing_mm", "message"),
    [
        (ramp(3, 40, 50), None, "spacing_mm"),
        (ramp(3, 40, 50), (8.0, 1.5), "3 numbers"),
        (ramp(3, 40, 50), (1.0, 8.0, 1.5, 1.5), "3 numbers"),
        (ramp(3, 40, 50), 1.5, "3 numbers"),
        (ramp(3, 40, 50), ("a", "b", "c"), "3 numbers"),
        (ramp(3, 40, 50), (8.0, 0.0, 1.5), "0.2 to 5 mm"),
        (ramp(3, 40, 50), (8.0, -1.5, 1.5), "0.2 to 5 mm"),
        (ramp(3, 40, 50), (8.0, float("nan"), 1.5), "0.2 to 5 mm"),
        (ramp(3, 40, 50), "811", "3 numbers"),
        (ramp(3, 40, 50), {8.0: 1, 1.5: 1, 1.4: 1}, "3 numbers"),
        (ramp(3, 40, 50), (10**400, 1.5, 1.5), "3 numbers"),
        (np.ma.masked_less(ramp(3, 40, 50), 5), SPACING_MM, "fill its mask"),
        (ramp(3, 40, 50).astype(np.float64) * 1e300, SPACING_MM, "scale them first"),
        (ramp(3, 40, 50), (0.008, 0.0015, 0.0015), "0.2 to 50 mm"),  # meters
        (ramp(3, 40, 50), (1.5, 1.5, 8.0), "0.2 to 5 mm"),  # the other way round
        (ramp(3, 40, 50), (800.0, 1.5, 1.5), "0.2 to 50 mm"),
        (ramp(50), SPACING_MM, "2 to 4 dimensions"),
        (ramp(1, 2, 3, 40, 50), SPACING_MM, "2 to 4 dimensions"),
        (np.zeros((0, 40, 50), np.float32), SPACING_MM, "empty"),
        (ramp(3, 40, 50).astype(complex), SPACING_MM, "complex128"),
        (ramp(3, 40, 50).astype(object), SPACING_MM, "object"),
        (ramp(3, 40, 50) > 5, SPACING_MM, "bool"),
        (ramp(3, 40, 50).astype(str), SPACING_MM, "<U"),
    ],
)
def test_bad_arrays(array: np.ndarray, spacing_mm: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        as_study(array, spacing_mm)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "an empty list"),
        ([1.0, 2.0], "list"),
        (None, "NoneType"),
        (7, "int"),
        (b"cine.nii.gz", "bytes"),
        ("", "give a path"),
        ("cine\0.nii.gz", "give a path"),
        ("x" * 5000, "cannot be read|no such file"),
        ("nowhere/cine.nii.gz", "no such file"),
        (Path("nowhere"), "no such file"),
    ],
)
def test_refuses_what_holds_no_scan(source: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_study(source)


def test_a_directory_and_a_text_file(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no scan")
    for path in (tmp_path, text):
        with pytest.raises(InputError, match=re.escape(str(path))):
            as_study(path)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A synthetic cine as a NIfTI file, and its voxels as the file holds them."""
    study, labels = synthetic_cine(seed=0, frames=2, slices=4)
    for stem, content in encode_study(study, labels).items():
        (tmp_path / f"{stem}.nii.gz").write_bytes(content)
    return tmp_path / f"{study.name}.nii.gz", study.voxels.round()


def test_a_nibabel_image_is_what_its_file_is(written: tuple[Path, np.ndarray]) -> None:
    path, voxels = written
    from_file, from_image = as_study(path), as_study(nib.load(path), name="image")
    assert from_image.name == "image"
    np.testing.assert_array_equal(from_image.voxels, voxels)
    np.testing.assert_array_equal(from_image.voxels, from_file.voxels)
    np.testing.assert_array_equal(from_image.affine, from_file.affine)
    assert from_image.spacing_mm == from_file.spacing_mm
    assert from_image.slice_spacing_mm == from_file.slice_spacing_mm


def test_a_nibabel_image_made_in_memory() -> None:
    image = nib.Nifti1Image(ramp(50, 40, 3), np.diag([1.25, 1.5, 8.0, 1.0]))
    study = as_study(image)
    assert study.voxels.shape == (1, 3, 40, 50)
    assert study.spacing_mm == (1.5, 1.25)
    assert study.voxels[0, 2, 39, 49] == 50 * 40 * 3 - 1


def test_a_nibabel_image_of_another_kind() -> None:
    image = nib.MGHImage(ramp(50, 40, 3), np.diag([1.25, 1.5, 8.0, 1.0]))
    assert as_study(image).spacing_mm == (1.5, 1.25)
    with pytest.raises(InputError, match="Nifti1Header"):
        as_study(nib.Nifti1Header())


def test_a_simpleitk_image_is_what_its_file_is(written: tuple[Path, np.ndarray]) -> None:
    sitk = pytest.importorskip("SimpleITK")
    path, voxels = written
    study = as_study(sitk.ReadImage(str(path)))
    from_file = as_study(path)
    np.testing.assert_array_equal(study.voxels, voxels)
    np.testing.assert_allclose(study.affine, from_file.affine, atol=1e-4)
    np.testing.assert_allclose(study.spacing_mm, from_file.spacing_mm)
    vectors = sitk.GetImageFromArray(np.zeros((3, 40, 50, 3), np.float32), isVector=True)
    with pytest.raises(InputError, match="gray"):
        as_study(vectors)


def test_spacing_and_series_only_where_they_mean_something(
    written: tuple[Path, np.ndarray],
) -> None:
    path, _ = written
    for source in (path, nib.load(path), as_study(path)):
        with pytest.raises(InputError, match="leave out spacing_mm"):
            as_study(source, SPACING_MM)
    with pytest.raises(InputError, match="series is for"):
        as_study(ramp(3, 40, 50), SPACING_MM, series="1.2.3")


def test_a_study_passes_and_may_be_renamed(cine: tuple[ctct.Study, np.ndarray]) -> None:
    study, _ = cine
    assert as_study(study) is study
    renamed = as_study(study, name="other")
    assert renamed.name == "other"
    assert renamed.voxels is study.voxels


@pytest.mark.parametrize("read", [as_study, ctct.read_study])
def test_every_error_is_one_of_ours(read: Callable[..., object], tmp_path: Path) -> None:
    damaged = tmp_path / "cine.nii.gz"
    damaged.write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(ctct.errors.CtctError):
        read(damaged)


def test_an_array_is_copied() -> None:
    array = ramp(3, 40, 50)
    study = as_study(array, SPACING_MM)
    array[:] = 0  # a buffer that is used again
    np.testing.assert_array_equal(study.voxels[0], ramp(3, 40, 50))


def test_an_affine_changed_in_place_is_the_one_that_counts() -> None:
    image = nib.Nifti1Image(ramp(50, 40, 3), np.diag([1.25, 1.5, 8.0, 1.0]))
    image.affine[:3, 3] = 10, 20, 30
    study = as_study(image)
    image.header.set_zooms((1, 1, 1))  # after that, the study does not change
    labels = nib.Nifti1Image.from_bytes(
        gzip.decompress(encode_labels(study, np.zeros(study.voxels.shape, np.uint8)))
    )
    np.testing.assert_array_equal(labels.affine[:3, 3], [10, 20, 30])
    assert labels.header.get_zooms() == (1.25, 1.5, 8.0)


class _Subclass(nib.Nifti1Image):  # type: ignore[misc]
    """As other packages make them."""


@pytest.mark.parametrize("kind", [_Subclass, nib.Nifti1Pair, nib.Nifti2Image])
def test_kinds_of_nifti_images(kind: type) -> None:
    study = as_study(kind(ramp(50, 40, 3), np.diag([1.25, 1.5, 8.0, 1.0])))
    assert study.spacing_mm == (1.5, 1.25)
    assert encode_labels(study, np.zeros(study.voxels.shape, np.uint8))


def test_an_image_without_an_affine_has_that_of_its_header() -> None:
    assert as_study(nib.Nifti1Image(ramp(50, 40, 3), None)).spacing_mm == (1.0, 1.0)


def test_a_file_cut_short_after_it_was_opened(written: tuple[Path, np.ndarray]) -> None:
    path, _ = written
    image = nib.load(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be read"):
        as_study(image)


def test_simpleitk_images_of_other_kinds() -> None:
    sitk = pytest.importorskip("SimpleITK")
    for image in (sitk.Image([2] * 5, sitk.sitkUInt8), sitk.Image([9, 9], sitk.sitkLabelUInt8)):
        with pytest.raises(InputError, match=r"dimensions|gray"):
            as_study(image)


def test_a_series_of_a_file_that_is_no_dicom(written: tuple[Path, np.ndarray]) -> None:
    with pytest.raises(InputError, match="not DICOM"):
        as_study(written[0], series="1.2.3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voxels": [[1.0]]}, "voxels are list"),
        ({"voxels": np.full((1, 1, 40, 50), "a")}, "voxels are <U1"),
        ({"affine": np.eye(3)}, "4 × 4"),
        ({"affine": np.full((4, 4), np.nan)}, "4 × 4"),
    ],
)
def test_a_study_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    parts = {"voxels": ramp(1, 1, 40, 50), "spacing_mm": (1.5, 1.5), "slice_spacing_mm": 8.0}
    with pytest.raises(InputError, match=message):
        ctct.Study("study", **(parts | changes))


def test_studies_are_compared_by_identity(cine: tuple[ctct.Study, np.ndarray]) -> None:
    study, _ = cine
    assert study == study
    assert study != study.renamed("other")
    assert study in {study}
