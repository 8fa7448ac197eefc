from __future__ import annotations

from pathlib import Path

import pytest

from ctct.errors import InputError
from ctct.io.discover import discover


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_are_searched_without_label_maps_and_hidden_files(tmp_path: Path) -> None:
    touch(tmp_path, "b/two.nii", "a/one.nii.gz", "a/one_gt.nii.gz", "c/x_seg.nii.gz")
    touch(tmp_path, "a/notes.txt", ".hidden/three.nii", "a/.four.nii.gz")
    cases, labels = discover([tmp_path])
    assert [case.name for case in cases] == ["one", "two"]
    assert [path.name for path in labels] == ["one_gt.nii.gz", "x_seg.nii.gz"]


def test_a_named_file_is_one_case_even_with_the_name_of_a_label_map(tmp_path: Path) -> None:
    touch(tmp_path, "x_gt.nii.gz")
    path = tmp_path / "x_gt.nii.gz"
    cases, _ = discover([path, path, tmp_path / "." / "x_gt.nii.gz"])
    assert [case.path for case in cases] == [path]


def test_equal_names_are_distinguished_by_their_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a/s/cine.nii.gz", "b/s/cine.nii.gz", "b/s/other.nii.gz", "c/single.nii")
    cases, _ = discover([tmp_path])
    # "other" carries its folder too: the files of a folder keep a common beginning.
    assert [case.name for case in cases] == ["a_s_cine", "b_s_cine", "b_s_other", "single"]


def test_names_that_differ_in_their_ending_only_are_distinguished(tmp_path: Path) -> None:
    touch(tmp_path, "x.nii", "x.nii.gz")
    cases, _ = discover([tmp_path])
    assert len({case.name for case in cases}) == 2


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.nii")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert len(discover([tmp_path])[0]) == 1


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        discover([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no scan found; expected files ending in"):
        discover([tmp_path])


def test_a_folder_of_label_maps_only(tmp_path: Path) -> None:
    touch(tmp_path, "a_seg.nii.gz", "b_seg.nii.gz")
    with pytest.raises(InputError, match=r"2 label maps such as .*a_seg\.nii\.gz, which are read"):
        discover([tmp_path])
