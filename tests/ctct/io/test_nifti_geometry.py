from __future__ import annotations

import logging
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctct.errors import InputError
from ctct.io.nifti import encode_labels, read_nifti, study_from_nibabel

#: A slice of 1.4 × 1.2 mm pixels, 8.7 mm from the next, oblique (RAS+).
ALONG, DOWN = np.array([0.6, 0.8, 0.0]), np.array([-0.8, 0.6, 0.0])
SIZES_MM = 1.4, 1.2, 8.7
TRUE = np.eye(4)
TRUE[:3, :3] = np.array([1.4 * ALONG, 1.2 * DOWN, [0.0, 0.0, 8.7]]).T
TRUE[:3, 3] = -70.0, 20.0, 5.0


def scan(
    sform: np.ndarray | None = TRUE,
    qform: np.ndarray | None = None,
    pixdim: tuple[float, ...] = SIZES_MM,
    shape: tuple[int, ...] = (6, 5, 4),
    units: int = 2,
) -> bytes:
    """A file with these forms, a code of 0 for None, and this pixdim."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header.set_qform(np.eye(4) if qform is None else qform, int(qform is not None))
    header.set_sform(np.eye(4) if sform is None else sform, int(sform is not None))
    header["pixdim"][1 : 1 + len(pixdim)] = pixdim
    header["xyzt_units"] = units
    header["vox_offset"] = 352
    return header.binaryblock + bytes(4) + np.arange(np.prod(shape), dtype=np.int16).tobytes()


def read(folder: Path, content: bytes) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Voxel size (x, y, z) and notes of a file."""
    (folder / "scan.nii").write_bytes(content)
    study = read_nifti(folder / "scan.nii")
    return (*study.spacing_mm[::-1], study.slice_spacing_mm), study.notes


def test_a_header_that_agrees_with_itself_has_no_note(tmp_path: Path) -> None:
    for image in (
        scan(),
        scan(None, TRUE),
        scan(TRUE, TRUE),
        scan(None, None),
        scan(pixdim=(1.4, -1.2, 8.7)),
        scan(pixdim=(1.402, 1.199, 8.7)),  # rounded
    ):
        sizes_mm, notes = read(tmp_path, image)
        assert sizes_mm == pytest.approx(SIZES_MM, rel=0.002)
        assert notes == ()


@pytest.mark.parametrize(
    ("pixdim", "shown"),
    [
        ((1.4, 1.2, 10.875), "1.4×1.2×10.88"),
        ((1.0, 1.0, 1.0), "1×1×1"),
        ((1.75, 1.5, 8.7), "1.75×1.5×8.7"),
        ((1.2, 1.4, 8.7), "1.2×1.4×8.7"),
        ((0.0, 0.0, 0.0), "0×0×0"),
        ((np.nan, 1.2, 8.7), "nan×1.2×8.7"),
    ],
)
def test_the_form_holds_and_the_contradiction_is_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pixdim: tuple[float, ...], shown: str
) -> None:
    caplog.set_level(logging.WARNING)
    sizes_mm, notes = read(tmp_path, scan(pixdim=pixdim))
    assert sizes_mm == pytest.approx(SIZES_MM, rel=1e-6)
    assert notes == (
        f"the header contradicts itself: voxels of {shown} mm by pixdim, of 1.4×1.2×8.7 mm by the "
        "sform, which is used",
    )
    assert not [
        r for r in caplog.records if r.name.startswith("ctct")
    ]  # a flag in the results, not a line on the screen


def test_sform_and_qform_of_different_size(tmp_path: Path) -> None:
    # set_qform writes pixdim: 10 mm by qform and pixdim, 8.7 mm by the sform.
    sizes_mm, (note,) = read(
        tmp_path, scan(TRUE, TRUE @ np.diag([1, 1, 10 / 8.7, 1]), (1.4, 1.2, 10))
    )
    assert sizes_mm == pytest.approx(SIZES_MM)
    assert "by the sform" in note


def test_sform_and_qform_of_different_directions(tmp_path: Path) -> None:
    flipped = TRUE @ np.diag([-1.0, -1.0, 1.0, 1.0])
    (note,) = read(tmp_path, scan(TRUE, flipped))[1]
    assert note == "sform and qform give the image different directions, those of the sform hold"
    slightly = TRUE.copy()
    slightly[:3, 2] += 2.0 * ALONG  # sheared by 13°
    assert read(tmp_path, scan(slightly, TRUE))[1] == ()


def test_a_form_of_one_millimeter_is_none_beside_another_pixdim(tmp_path: Path) -> None:
    for form in (np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])):
        for image in (scan(form, shape=(6, 5, 1)), scan(form), scan(form, shape=(6, 5, 4, 3))):
            assert read(tmp_path, image) == (pytest.approx(SIZES_MM), ())
    study = read_nifti(tmp_path / "scan.nii")
    np.testing.assert_allclose(np.linalg.norm(study.affine[:3, :3], axis=0), SIZES_MM, rtol=1e-6)
    # One millimeter each way by pixdim too is no exception.
    assert read(tmp_path, scan(np.eye(4), pixdim=(1, 1, 1))) == ((1, 1, 1), ())


@pytest.mark.parametrize("pixdim", [(0.0, 1.2, 8.7), (1.4, 1.2, 0.0), (np.nan, 1.2, 8.7)])
def test_a_form_of_one_millimeter_beside_an_impossible_pixdim_is_refused(
    tmp_path: Path, pixdim: tuple[float, ...]
) -> None:
    with pytest.raises(InputError, match=r"spacing is .*(0|nan)"):
        read(tmp_path, scan(np.eye(4), pixdim=pixdim))


def test_an_impossible_form_is_replaced_by_the_next(tmp_path: Path) -> None:
    broken = TRUE.copy()
    broken[:3, 2] = 0
    sizes_mm, notes = read(tmp_path, scan(broken, TRUE))
    assert (sizes_mm, notes) == (
        pytest.approx(SIZES_MM),
        ("the sform in the header is impossible and not used",),
    )
    broken[0, 0] = np.nan
    sizes_mm, notes = read(tmp_path, scan(broken))
    assert sizes_mm == pytest.approx(SIZES_MM)
    assert len(notes) == 1


def test_a_form_with_an_unknown_code_holds(tmp_path: Path) -> None:
    content = bytearray(scan(pixdim=(1.4, 1.2, 10.875)))
    content[254:256] = struct.pack("<h", 200)  # sform_code
    sizes_mm, notes = read(tmp_path, bytes(content))
    assert sizes_mm == pytest.approx(SIZES_MM)
    assert len(notes) == 1


@pytest.mark.parametrize("degrees", [60.0, 87.0, 93.0, 120.0])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_rows_and_columns_that_are_not_at_right_angles_are_noted(
    tmp_path: Path, degrees: float, order: tuple[int, ...]
) -> None:
    sheared = TRUE.copy()
    angle = np.radians(degrees)
    sheared[:3, 1] = 1.2 * (np.cos(angle) * ALONG + np.sin(angle) * DOWN)
    sizes = tuple(SIZES_MM[axis] for axis in order)
    shape = tuple((6, 5, 4)[axis] for axis in order)
    _, notes = read(tmp_path, scan(sheared[:, [*order, 3]], None, sizes, shape))
    acute = round(min(degrees, 180 - degrees))
    (note,) = notes
    assert f"not at right angles ({acute}°); the area of a pixel is not known for sure" in note


def test_a_skew_that_is_rounding_and_a_made_up_third_axis_are_not_noted(tmp_path: Path) -> None:
    skewed = TRUE.copy()
    skewed[:3, 1] += 0.03 * ALONG  # 88.6°
    assert read(tmp_path, scan(skewed))[1] == ()
    single = TRUE.copy()
    single[:3, 2] = 20 * (ALONG + DOWN)
    assert read(tmp_path, scan(single, shape=(6, 5, 1)))[1] == ()
    assert read(tmp_path, scan(single, pixdim=SIZES_MM[:2], shape=(6, 5)))[1] == ()


def test_slices_of_a_sheared_stack_are_apart_along_their_normal(tmp_path: Path) -> None:
    sheared = TRUE.copy()
    sheared[:3, 2] = 2.0 * ALONG + [0, 0, 8.0]  # 8.246 mm long
    for slice_mm in (8.0, 8.246):  # tools write either
        sizes_mm, notes = read(tmp_path, scan(sheared, pixdim=(1.4, 1.2, slice_mm)))
        assert sizes_mm == pytest.approx((1.4, 1.2, 8.0), rel=1e-6)
        assert notes == ()


def test_two_dimensions_and_a_single_slice(tmp_path: Path) -> None:
    flat = TRUE.copy()
    flat[:3, 2] = 0
    sizes_mm, notes = read(tmp_path, scan(flat, shape=(6, 5), pixdim=(1.4, 1.2)))
    assert sizes_mm[:2] == pytest.approx(SIZES_MM[:2])
    assert np.isnan(sizes_mm[2])
    assert notes == ()
    sizes_mm, notes = read(tmp_path, scan(shape=(6, 5, 1), pixdim=(1.4, 1.2, 0.0)))
    assert np.isnan(sizes_mm[2])
    assert notes == ()
    # The thickness of a single slice is often made up; that it is no stack has a flag.
    assert read(tmp_path, scan(shape=(6, 5, 1, 3), pixdim=(1.4, 1.2, 10.875)))[1] == ()
    (note,) = read(tmp_path, scan(shape=(6, 5, 1, 3), pixdim=(1.4, 1.5, 8.7)))[1]
    assert "1.4×1.5 mm by pixdim" in note


def test_an_image_of_nibabel(tmp_path: Path) -> None:
    (tmp_path / "scan.nii").write_bytes(scan(pixdim=(1.4, 1.2, 10.875)))
    study = study_from_nibabel(nib.load(tmp_path / "scan.nii"))
    assert study.slice_spacing_mm == pytest.approx(8.7)
    assert "contradicts itself" in study.notes[0]
    assert study_from_nibabel(nib.Nifti1Image(np.zeros((6, 5, 4)), TRUE)).notes == ()


@pytest.mark.parametrize(("code", "to_mm"), [(1, 1000.0), (3, 0.001)])
def test_units_hold_for_the_form_and_for_pixdim(tmp_path: Path, code: int, to_mm: float) -> None:
    form = np.diag([1 / to_mm] * 3 + [1.0]) @ TRUE
    pixdim = 1.4 / to_mm, 1.2 / to_mm, 10.0 / to_mm
    sizes_mm, (note,) = read(tmp_path, scan(form, pixdim=pixdim, units=code))
    assert sizes_mm == pytest.approx(SIZES_MM, rel=1e-6)
    assert "1.4×1.2×10 mm by pixdim" in note


def test_a_label_map_has_the_size_of_its_scan(tmp_path: Path) -> None:
    for image in (scan(pixdim=(1.4, 1.2, 10.875)), scan(np.eye(4)), scan(TRUE, TRUE)):
        (tmp_path / "scan.nii").write_bytes(image)
        study = read_nifti(tmp_path / "scan.nii")
        (tmp_path / "seg.nii.gz").write_bytes(
            encode_labels(study, np.zeros((1, 4, 5, 6), np.uint8))
        )
        labels = read_nifti(tmp_path / "seg.nii.gz")
        assert (labels.spacing_mm, labels.slice_spacing_mm) == (
            study.spacing_mm,
            study.slice_spacing_mm,
        )
