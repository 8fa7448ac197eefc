"""Stacks with one NIfTI file per slice."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

from ctct.cases.discover import discover
from ctct.cases.read import read_case, read_study
from ctct.errors import InputError

#: Oblique: columns of 1.5 mm, rows of 1.25 mm, slices 8 mm apart (RAS).
ALONG, DOWN = np.array([0.6, 0.8, 0.0]), np.array([-0.8, 0.6, 0.0])
NORMAL = np.array([0.0, 0.0, 1.0])


def voxels(place: int, phases: int = 1) -> np.ndarray:
    """(x, y[, 1, t]), with values that encode slice and phase."""
    flat = np.full((36, 40), 100 * place, np.int16) + np.arange(40, dtype=np.int16)
    cine = np.stack([flat + 1000 * t for t in range(phases)], -1)[:, :, None]
    return flat if phases == 1 else cine


def write(
    folder: Path, places: list[float], phases: int = 1, name: str = "s{}.nii.gz", code: int = 1
) -> Path:
    """One file per position in millimeters, with names in another order."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, place_mm in enumerate(places):
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1], affine[:3, 2] = 1.5 * ALONG, 1.25 * DOWN, NORMAL
        affine[:3, 3] = [5, 6, place_mm]
        image = nib.Nifti1Image(voxels(n, phases), affine)
        image.set_qform(affine, code)
        image.set_sform(affine, code)
        nib.save(image, folder / name.format(-n % len(places)))
    return folder


def names(*inputs: Path) -> list[str]:
    return [case.name for case in discover(inputs)[0]]


@pytest.mark.parametrize("phases", [1, 3])
def test_slices_side_by_side_are_one_scan(tmp_path: Path, phases: int) -> None:
    folder = write(tmp_path / "p1", [-8.0, 0.0, 8.0, 16.0], phases)
    study = read_study(folder)
    assert study.name == "p1"
    assert study.voxels.shape == (phases, 4, 40, 36)
    expected = np.add.outer([0, 1000, 2000], [0, 100, 200, 300])
    np.testing.assert_array_equal(study.voxels[:, :, 0, 0], expected[:phases])
    assert study.spacing_mm == pytest.approx((1.25, 1.5))
    assert study.slice_spacing_mm == pytest.approx(8)
    column, row, place = 4, 7, 3
    ras = [5, 6, -8] + 1.5 * column * ALONG + 1.25 * row * DOWN + 8.0 * place * NORMAL
    np.testing.assert_allclose((study.affine @ [column, row, place, 1])[:3], ras, atol=1e-5)
    assert study.label_encoder is not None
    labels = np.zeros(study.voxels.shape, np.uint8)
    written = nib.Nifti1Image.from_bytes(gzip.decompress(study.label_encoder.encode_labels(labels)))
    np.testing.assert_allclose(written.affine, study.affine, atol=1e-5)


def test_each_folder_is_a_scan_and_other_files_are_separate(tmp_path: Path) -> None:
    write(tmp_path / "in" / "p1", [0.0, 8.0, 16.0])
    write(tmp_path / "in" / "p2", [0.0, 8.0, 16.0])
    write_scan(tmp_path / "in" / "p2" / "v.nii")
    write(tmp_path / "in" / "p2", [0.0, 8.0, 16.0], name="s{}_gt.nii.gz")
    assert names(tmp_path / "in") == ["p1", "p2", "p2_v"]


def test_named_files_are_separate_scans(tmp_path: Path) -> None:
    folder = write(tmp_path / "p1", [0.0, 8.0, 16.0])
    assert names(*folder.iterdir()) == ["s0", "s1", "s2"]


@pytest.mark.parametrize(
    ("places", "code"), [([0.0, 8.0, 16.0], 0), ([0.0, 0.0, 0.0], 1), ([0.0, 8.0], 1)]
)
def test_without_distinct_positions_each_file_is_a_scan(
    tmp_path: Path, places: list[float], code: int
) -> None:
    assert len(names(write(tmp_path, places, code=code))) == len(places)


def test_two_stacks_in_a_folder_are_distinguished(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", [0.0, 8.0, 16.0])
    write(folder, [0.0, 8.0, 16.0, 24.0], phases=2, name="cine{}.nii")
    cases, _ = discover([folder])
    assert [case.name for case in cases] == ["p_cine0", "p_s0"]
    assert sorted(read_case(case).voxels.shape[:2] for case in cases) == [(1, 3), (2, 4)]


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ([0.0, 0.0, 8.0, 16.0], "s0.nii.gz and s3.nii.gz lie in the same place"),
        ([0.0, 8.0, 16.0, 40.0], "slices lie 8.0 to 24.0 mm apart, so some are missing"),
    ],
)
def test_an_incomplete_stack_is_refused_with_the_reason(
    tmp_path: Path, places: list[float], why: str
) -> None:
    folder = write(tmp_path / "p", places)
    with pytest.raises(
        InputError, match=f"{why}.* name the files themselves to label each separately"
    ):
        read_study(folder)


@pytest.mark.parametrize(
    "name", ["p{}", "p{}_mid", "patient0{}_slice05", "s{}_mid", "sub-{}_base", "a{}b_middle"]
)
def test_the_same_slice_of_several_patients_is_no_stack(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "in", [0.0, 8.0, 16.0, 24.0], name=name + ".nii.gz")
    assert names(folder) == [name.format(n) for n in range(4)]


def test_slices_of_several_patients_are_a_stack_of_each(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        write(tmp_path / "in", [0.0, 8.0, 16.0], name=patient + "_slice{}.nii.gz")
    cases, _ = discover([tmp_path / "in"])
    assert [case.name for case in cases] == ["in_p1_slice0", "in_p2_slice0"]
    assert [len(case.slices) for case in cases] == [3, 3]


def test_slices_far_apart_in_their_plane_are_no_stack(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path / "p", [0.0, 16.0])
    affine = nib.load(folder / "s0.nii.gz").affine.copy()
    affine[:3, 3] = 25 * ALONG + 25 * DOWN + 8 * NORMAL  # 35 mm away, less the origin of (5, 6)
    nib.save(nib.Nifti1Image(voxels(1), affine), folder / "s2.nii.gz")
    assert names(folder) == ["s0", "s1", "s2"]
    assert "3 slices are no stack, they are shifted by up to" in caplog.text


def test_a_slightly_uneven_spacing_is_noted(tmp_path: Path) -> None:
    study = read_study(write(tmp_path / "p", [0.0, 8.0, 16.8, 24.0]))
    assert study.notes == ("slices lie 7.2 to 8.8 mm apart; the mean, 8.00 mm, is used",)


def test_a_damaged_file_among_slices_is_a_separate_scan(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", [0.0, 8.0, 16.0])
    (folder / "x.nii.gz").write_bytes(b"\x1f\x8bno")
    assert names(folder) == ["p", "x"]


def write_numbered(folder: Path, numbers: list[object], name: str = "sl_{}.nii.gz") -> Path:
    """One file per slice, 10 mm apart, with these numbers in the names in order of position."""
    write(folder, [10.0 * n for n in range(len(numbers))], name="{}.tmp.nii.gz")
    for n, number in enumerate(numbers):
        (folder / f"{-n % len(numbers)}.tmp.nii.gz").rename(folder / name.format(number))
    return folder


BEGIN = "the file names begin with number {}; slices before it may be missing"
GAPS = "the numbers in the file names have gaps, as after {}; slices may be missing"


@pytest.mark.parametrize(
    ("numbers", "notes"),
    [
        (["02", "03", "04", "05"], [BEGIN.format(2)]),
        ([5, 4, 3, 2], [BEGIN.format(2)]),
        ([8, 9, 10], [BEGIN.format(8)]),
        ([4, 6, 8, 10], [BEGIN.format(4)]),  # 2 is missing
        ([26, 51, 76], [BEGIN.format(26)]),  # 1 is missing: 25 phases
        ([1, 3, 5, 2], [GAPS.format(3)]),  # interleaved, 4 is missing
        ([2, 3, 5], [BEGIN.format(2), GAPS.format(3)]),
    ],
)
def test_numbers_of_files_that_are_missing_are_noted(
    tmp_path: Path, numbers: list[object], notes: list[str]
) -> None:
    assert list(read_study(write_numbered(tmp_path / "p", numbers)).notes) == notes


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ([0, 1, 2, 3], "sl_{}.nii.gz"),
        (["01", "02", "03"], "5_sax_{}.nii"),
        ([9, 10, 11, 8, 7, 6, 5, 4, 3, 2, 1], "sl_{}.nii.gz"),
        ([1, 3, 5, 2, 4], "sl_{}.nii.gz"),
        ([0, 10, 20], "z{}.nii.gz"),
        ([60, 50, 40], "z{}.nii.gz"),
        ([33, 44, 53], "pos{}.nii.gz"),  # mm, rounded
        ([2, 4, 6], "sl_{}.nii.gz"),
        ([1, 26, 51], "5_{}.nii.gz"),
        ([25, 50, 75], "sl_{}.nii.gz"),
        ([101, 102, 103], "sl_{}.nii.gz"),
        (["0701", "0702", "0703"], "sl_{}.nii.gz"),
        ([93012, 93015, 93113], "sl_{}.nii.gz"),  # times
        (["12.5", "22.6", "32.7"], "sax{}.nii.gz"),
        (["x2", "3y", "z4"], "{}.nii.gz"),
        (["a", "b", "c"], "{}.nii.gz"),
    ],
)
def test_regular_numbers_have_no_note(tmp_path: Path, numbers: list[object], name: str) -> None:
    assert read_study(write_numbered(tmp_path / "p", numbers, name)).notes == ()


def test_files_named_like_the_slices_that_are_not_in_the_stack_are_noted(tmp_path: Path) -> None:
    folder = write_numbered(tmp_path / "p", ["01", "02", "03", "04"])
    for name in ("sl_04_gt.nii.gz", "sax_05.nii.gz", "sl_05.txt", "sl_5b.nii.gz", ".sl_06.nii.gz"):
        (folder / name).touch()
    case = discover([folder])[0][0]
    assert read_case(case).notes == ()
    (folder / "sl_05.nii.gz").touch()
    assert read_case(case).notes == (
        "1 file named like its slices cannot be read or does not fit: sl_05.nii.gz",
    )
    write_scan(folder / "sl_00.nii")
    assert read_case(case).notes == (
        "2 files named like its slices cannot be read or do not fit: sl_00.nii, sl_05.nii.gz",
    )


def test_slices_of_another_patient_are_not_missed(tmp_path: Path) -> None:
    write_numbered(tmp_path, [1, 2, 3], "p1_slice{}.nii.gz")
    write_numbered(tmp_path, [1, 2, 3, 4], "p2_slice{}.nii.gz")
    assert [read_case(case).notes for case in discover([tmp_path])[0]] == [(), ()]
