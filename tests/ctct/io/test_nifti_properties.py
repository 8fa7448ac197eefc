"""What holds of every NIfTI scan, whatever its shape, type, spacing, place and scaling."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from ctct.io.label_maps import read_labels
from ctct.io.nifti import encode_study, read_nifti
from ctct.io.study import Study

SHAPES = st.one_of(
    st.tuples(*[st.integers(1, 9)] * n)
    for n in (2, 3, 4)  # type: ignore[arg-type]
)
DTYPES = st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
#: Not so different that an axis is taken for the slices' because of it: that is tested by itself.
IN_PLANE_MM = st.floats(1.0, 1.4)
SLICE_MM = st.floats(0.5, 20.0)


@st.composite
def affines(draw: st.DrawFn) -> tuple[npt.NDArray[np.float64], tuple[float, float, float]]:
    """An affine, turned and mirrored and moved at will, and its spacings (x, y, z) in mm."""
    spacing_mm = draw(st.tuples(IN_PLANE_MM, IN_PLANE_MM, SLICE_MM))
    matrix = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=(3, 3))
    turned, _ = np.linalg.qr(matrix)  # of either handedness
    affine = np.eye(4)
    affine[:3, :3] = turned * spacing_mm
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return affine, spacing_mm


@st.composite
def images(draw: st.DrawFn) -> tuple[nib.Nifti1Image, npt.NDArray[np.float64]]:
    """An image in any kind of NIfTI, and its values as they are meant."""
    shape, dtype = draw(SHAPES), np.dtype(draw(DTYPES))
    stored = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 120, shape).astype(dtype)
    kind = draw(st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]))
    order = draw(st.sampled_from("<>"))
    header = kind.header_class(endianness=order)
    header.set_data_dtype(dtype.newbyteorder(order))
    affine, _ = draw(affines())
    image = kind(stored, affine, header)
    image.header.set_xyzt_units("mm", "sec")
    slope, inter = draw(st.sampled_from([(1.0, 0.0), (0.5, -3.0), (-2.0, 7.5), (1e-3, 1e3)]))
    image.header.set_slope_inter(slope, inter)
    return image, stored * slope + inter


def as_filed(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return array.reshape(array.shape + (1,) * (4 - array.ndim))  # (x, y, z, t)


def through_a_file(content: bytes, packed: bool) -> Study:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.nii"
        path.write_bytes(gzip.compress(content, 1) if packed else content)
        return read_nifti(path)


def file_bytes(image: nib.Nifti1Image) -> bytes:
    """The image as a file with its scaling kept, which nibabel would reckon anew."""
    slope, inter = image.header.get_slope_inter()
    content = bytearray(image.to_bytes())
    header = image.header.copy()
    header["scl_slope"], header["scl_inter"] = slope, inter
    header["vox_offset"] = len(header.binaryblock) + 4
    content[: len(header.binaryblock)] = header.binaryblock
    stored = np.asarray(image.dataobj).astype(header.get_data_dtype())
    at = len(header.binaryblock) + 4
    content[at:] = stored.tobytes(order="F")
    return bytes(content)


@settings(deadline=None, max_examples=150)
@given(images(), st.booleans())
def test_voxels_spacing_and_place(
    made: tuple[nib.Nifti1Image, npt.NDArray[np.float64]], packed: bool
) -> None:
    image, values = made
    study = through_a_file(file_bytes(image), packed)
    filed = as_filed(values)
    spacing_mm = [float(mm) for mm in np.sqrt((image.affine[:3, :3] ** 2).sum(0))]
    np.testing.assert_allclose(study.voxels, filed.transpose(3, 2, 1, 0), rtol=1e-5, atol=1e-4)
    assert np.allclose(study.spacing_mm, (spacing_mm[1], spacing_mm[0]), rtol=1e-5)
    if values.ndim > 2:
        assert np.isclose(study.slice_spacing_mm, spacing_mm[2], rtol=1e-5)
    assert np.allclose(study.affine, image.affine, rtol=1e-4, atol=1e-3)


@settings(deadline=None, max_examples=150)
@given(images(), st.integers(0, 99))
def test_a_label_map_lies_on_its_scan_and_is_read_as_written(
    made: tuple[nib.Nifti1Image, npt.NDArray[np.float64]], seed: int
) -> None:
    study = through_a_file(file_bytes(made[0]), packed=True)
    labels = np.random.default_rng(seed).integers(0, 4, study.voxels.shape).astype(np.uint8)
    assert study.label_encoder is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan_seg.nii.gz"
        path.write_bytes(study.label_encoder.encode_labels(labels))
        again, read = read_labels(path)
        written = nib.load(path)
        np.testing.assert_array_equal(written.affine, made[0].header.get_best_affine())
        assert written.shape == made[0].shape
    np.testing.assert_array_equal(read, labels)
    assert again.spacing_mm == study.spacing_mm
    np.testing.assert_array_equal(again.affine, study.affine)


@settings(deadline=None, max_examples=50)
@given(affines(), st.tuples(*[st.integers(1, 6)] * 4), st.integers(0, 99))
def test_a_study_made_in_memory_comes_back(
    placed: tuple[npt.NDArray[np.float64], tuple[float, float, float]],
    shape: tuple[int, int, int, int],
    seed: int,
) -> None:
    affine, (x, y, z) = placed
    rng = np.random.default_rng(seed)
    study = Study("made", rng.integers(-99, 999, shape).astype(np.float32), (y, x), z, affine)
    labels = rng.integers(0, 4, shape).astype(np.uint8)
    files = encode_study(study, labels)
    back = through_a_file(gzip.decompress(files["made"]), packed=True)
    np.testing.assert_array_equal(back.voxels, study.voxels)
    assert np.allclose((*back.spacing_mm, back.slice_spacing_mm), (y, x, z), rtol=1e-5)
    assert np.allclose(back.affine, affine, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(
        through_a_file(gzip.decompress(files["made_gt"]), packed=False).voxels, labels
    )
