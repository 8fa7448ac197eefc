"""Which corrected files belong to which case."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctct.correction.edited_files import EditedFile, check_no_rivals, find_edited
from ctct.errors import InputError

CASES = ("p_frame01", "cine", "cine_2")


def names(folder: Path, *files: str) -> tuple[dict[str, list[tuple[str, int | None]]], list[str]]:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    found, problems = find_edited(folder, CASES)
    return (
        {case: [(f.path.name, f.frame) for f in files] for case, files in found.items()},
        list(problems.values()),
    )


def test_files_are_found_by_the_names_that_predict_gives(tmp_path: Path) -> None:
    found, problems = names(
        tmp_path,
        "cine_seg.nii.gz",
        "slicer/cine_2_03.seg.nrrd",
        "p_frame01.dcm",
        "labels.txt",
        ".hidden_seg.nii",
    )
    assert found == {
        "cine": [("cine_seg.nii.gz", None)],
        "cine_2": [("cine_2_03.seg.nrrd", 2)],
        "p_frame01": [("p_frame01.dcm", None)],
    }
    assert problems == []


def test_a_case_whose_name_ends_in_a_number_is_no_frame(tmp_path: Path) -> None:
    found, _ = find_edited_of(tmp_path, "cine_02_seg.nii", ("cine", "cine_02"))
    assert found == {"cine_02": [EditedFile(tmp_path / "cine_02_seg.nii")]}


def find_edited_of(
    folder: Path, file: str, cases: tuple[str, ...]
) -> tuple[dict[str, list[EditedFile]], dict[Path, str]]:
    (folder / file).write_bytes(b"x")
    return find_edited(folder, cases)


def test_a_file_of_no_case_is_named_with_the_cases(tmp_path: Path) -> None:
    found, (problem,) = names(tmp_path, "other_seg.nii.gz")
    assert found == {}
    assert (
        "other_seg.nii.gz: its name is that of no case; the cases are cine, cine_2, p_frame01"
        in (problem)
    )


def test_a_file_of_a_patient_holds_the_frames_that_are_scans_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "P1_seg.nii.gz"
    path.write_bytes(b"x")
    cases = ("P1_ED", "P1_ES", "P2_ED")
    found, problems = find_edited(tmp_path, cases, {"P1": ["P1_ED", "P1_ES"]})
    assert found == {
        "P1_ED": [EditedFile(path, part=(0, 2))],
        "P1_ES": [EditedFile(path, part=(1, 2))],
    }
    assert problems == {}


def test_frames_count_from_one(tmp_path: Path) -> None:
    found, problems = names(tmp_path, "cine_00.seg.nrrd")
    assert found == {}
    assert len(problems) == 1


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_a_folder_without_label_maps_is_refused(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / kind
    if kind == "empty":
        folder.mkdir()
    with pytest.raises(InputError, match=r"no such folder|holds no label map"):
        find_edited(folder, CASES)


FILES = {
    "two of all": (EditedFile(Path("a")), EditedFile(Path("b"))),
    "all and one": (EditedFile(Path("a")), EditedFile(Path("b"), 3)),
    "one and all": (EditedFile(Path("a"), 3), EditedFile(Path("b"))),
    "two of one": (EditedFile(Path("a"), 3), EditedFile(Path("b"), 3)),
}


@pytest.mark.parametrize("kind", FILES)
def test_two_editors_of_one_frame_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match=r"b and a both hold .* of cine; keep one of them"):
        check_no_rivals("cine", FILES[kind])


def test_files_of_different_frames_go_together() -> None:
    check_no_rivals("cine", [EditedFile(Path("a"), 0), EditedFile(Path("b"), 1)])
