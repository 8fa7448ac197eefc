from __future__ import annotations

from pathlib import Path

from ctct.cases.case import Case


def test_the_identity_distinguishes_stacks_in_one_folder() -> None:
    folder = Path("/p")
    stacks = [(folder / "a.nii", folder / "b.nii"), (folder / "c.nii",)]
    cases = [Case(folder, "p", slices=stack) for stack in stacks]
    assert [case.identity for case in cases] == ["/p#a.nii", "/p#c.nii"]
    assert Case(folder / "a.nii", "a").identity == "/p/a.nii"


def test_the_name_says_whose_frame_a_file_is() -> None:
    case = Case(Path("p_frame12.nii.gz"), "p_frame12")
    assert (case.patient, case.number, case.phase) == ("p", 12, "")
    case = Case(Path("p_ED.nii.gz"), "p_ED")
    assert (case.patient, case.number, case.phase) == ("p", None, "ED")
    case = Case(Path("p_frame12.nii.gz"), "kept", patient="p", number=12)
    assert (case.patient, case.number) == ("p", 12)


def test_the_files_of_a_detached_header_are_two(tmp_path: Path) -> None:
    header = tmp_path / "x.mhd"
    header.write_text("ElementDataFile = voxels.raw\n")
    (tmp_path / "voxels.raw").touch()
    assert Case(header, "x").files == [header, tmp_path / "voxels.raw"]
    header.write_text("ElementDataFile = ../voxels.raw\n")
    assert Case(header, "x").files == [header]
