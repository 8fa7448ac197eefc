from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ctct.io.case import MAX_NAME_BYTES, Case, case_names


def names(*paths: str) -> list[str]:
    return case_names([Path(path) for path in paths], list(paths))


def digest(identity: str) -> str:
    return "_" + hashlib.sha256(identity.encode()).hexdigest()[:12]


def test_the_name_is_the_stem() -> None:
    assert names("/a/x.nii.gz", "/a/y.mha", "/b/z.zip", "/b/dicom") == ["x", "y", "z", "dicom"]


def test_equal_stems_get_as_few_folders_as_make_them_unique() -> None:
    paths = ("/r/a/s/cine.nii", "/r/b/s/cine.nii", "/r/b/s/other.nii", "/r/c/cine2.nii")
    assert names(*paths) == ["a_s_cine", "b_s_cine", "b_s_other", "cine2"]


def test_files_that_differ_in_their_ending_keep_it() -> None:
    assert names("/a/x.nii", "/a/x.nii.gz") == ["x_nii", "x_nii_gz"]


def test_a_name_that_is_still_taken_ends_in_a_digest() -> None:
    # "a_b/c" and "a/b_c" both give "a_b_c".
    paths = ("/a_b/c.nii", "/a/b_c.nii", "/c.nii", "/b_c.nii")
    result = names(*paths)
    assert len(set(result)) == 4
    assert result[0] == "a_b_c" + digest(paths[0])
    assert result[1] == "a_b_c" + digest(paths[1])


def test_an_unprintable_name_is_replaced_and_ends_in_a_digest() -> None:
    assert names("/a/x\n\x1b.nii") == ["x__" + digest("/a/x\n\x1b.nii")]


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])
def test_marks_of_writing_direction_are_replaced(code: int) -> None:
    path = f"/a/x{chr(code)}gz.nii"
    assert names(path) == ["x_gz" + digest(path)]


@pytest.mark.parametrize("code", [0x061C, 0x200B, 0xFEFF, 0x2060, 0xAD, 0xE0041, 0x85, 0x2028])
def test_invisible_characters_are_replaced(code: int) -> None:
    path = f"/a/x{chr(code)}y.nii"
    assert names(path) == ["x_y" + digest(path)]


def test_names_that_only_differ_in_an_invisible_character_stay_apart() -> None:
    plain, hidden = names("/a/x_y.nii", "/a/x\u200by.nii")
    assert hidden == "x_y" + digest("/a/x\u200by.nii")
    assert plain != hidden


def test_a_long_name_is_cut_between_characters() -> None:
    (name,) = names(f"/a/{'心' * 82}.nii")  # 246 bytes
    assert name == "心" * 77 + digest(f"/a/{'心' * 82}.nii")  # 231 of the 231 bytes that remain
    assert len(name.encode()) == MAX_NAME_BYTES


def test_the_identity_distinguishes_stacks_in_one_folder() -> None:
    folder = Path("/p")
    stacks = [(folder / "a.nii", folder / "b.nii"), (folder / "c.nii",)]
    cases = [Case(folder, "p", slices=stack) for stack in stacks]
    assert [case.identity for case in cases] == ["/p#a.nii", "/p#c.nii"]
    assert Case(folder / "a.nii", "a").identity == "/p/a.nii"
