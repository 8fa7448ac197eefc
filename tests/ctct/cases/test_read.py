from __future__ import annotations

from pathlib import Path

import pytest
from tests_support import write_scan

from ctct.cases.case import Case
from ctct.cases.read import find_case, read_case, read_study
from ctct.errors import InputError


def test_a_file_is_read_by_its_ending_and_named_by_its_stem(tmp_path: Path) -> None:
    array = write_scan(tmp_path / "cine.nii.gz", (40, 36, 3, 2))
    study = read_study(str(tmp_path / "cine.nii.gz"))
    assert study.name == "cine"
    assert study.path == tmp_path / "cine.nii.gz"
    assert (study.voxels == array.transpose(3, 2, 1, 0)).all()


def test_the_only_scan_of_a_folder_is_found(tmp_path: Path) -> None:
    write_scan(tmp_path / "a" / "cine.nii.gz")
    write_scan(tmp_path / "a" / "cine_gt.nii.gz")
    assert find_case(tmp_path) == Case(tmp_path / "a" / "cine.nii.gz", "a_cine")


def test_several_scans_are_refused_with_their_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_scan(tmp_path / f"{name}.nii.gz")
    with pytest.raises(InputError, match=r"holds 2 scans \(a, b …\); give one of them"):
        find_case(tmp_path)


def test_a_scan_above_the_limit_is_refused(tmp_path: Path) -> None:
    write_scan(tmp_path / "cine.nii.gz")  # 40 × 36 × 3 voxels of 4 bytes: 17 280
    case = find_case(tmp_path / "cine.nii.gz")
    assert read_case(case, 17_280).voxels.nbytes == 17_280
    with pytest.raises(InputError, match=r"4320 voxels; the limit is .* split the file by frames"):
        read_case(case, 17_279)


def test_a_zip_without_a_series_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"a\.zip: not a usable zip"):
        read_case(Case(tmp_path / "a.zip", "a"))
