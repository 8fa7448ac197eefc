from __future__ import annotations

from pathlib import Path

import pytest

from ctct.cases.case import Case
from ctct.errors import ConfigError, InputError
from ctct.measurement.subject import Subject
from ctct.prediction.patients import (
    Overrides,
    PatientContext,
    find_context,
    frame_numbers,
    read_overrides,
)


def cine(folder: Path) -> Case:
    return Case(folder / "c.nii.gz", "c")


def test_frames_are_numbered_by_their_name_or_counted() -> None:
    assert frame_numbers(Case(Path("p_frame12.nii"), "p_frame12"), 1) == [12]
    assert frame_numbers(Case(Path("p_frame00.nii"), "p_frame00"), 1) == [0]
    assert frame_numbers(cine(Path()), 3) == [1, 2, 3]


def test_nothing_is_known_of_a_scan_alone(tmp_path: Path) -> None:
    assert find_context([cine(tmp_path)], [1, 2]) == PatientContext()


def test_info_cfg_names_the_phases(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DCM\n")
    cases = [Case(tmp_path / f"p_frame{n:02}.nii.gz", f"p_frame{n:02}") for n in (1, 12)]
    context = find_context(cases, [1, 12])
    assert (context.ed, context.es) == (0, 1)
    # Among the twelve frames of a cine.
    context = find_context([cine(tmp_path)], list(range(1, 13)))
    assert (context.ed, context.es) == (0, 11)


def test_overrides_win_and_impossible_ones_are_reported(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("ED: 3\nES: 1\nHeight: 180\nWeight: 80\n")
    context = find_context([cine(tmp_path)], [1, 2, 3])
    assert (context.ed, context.es) == (2, 0)  # Info.cfg counts from 1
    assert context.subject == Subject(height_cm=180, weight_kg=80)
    body = Subject(height_cm=160, weight_kg=90)
    context = find_context([cine(tmp_path)], [1, 2, 3], Overrides({"c": body}, ed=0, es=7))
    assert (context.ed, context.es, context.subject) == (0, 0, body)
    assert context.warnings == ("ES frame 7 was asked for, there are 3",)


def test_the_name_of_a_file_says_which_phase_it_is(tmp_path: Path) -> None:
    cases = [Case(tmp_path / f"p_{phase}.nii", f"p_{phase}") for phase in ("ES", "ED")]
    context = find_context(cases, [1, 1])
    assert (context.ed, context.es) == (1, 0)
    context = find_context(cases, [1, 1], Overrides(ed=0, es=1))
    assert (context.ed, context.es) == (0, 1)


@pytest.mark.parametrize(
    ("ed", "es", "why"),
    [(-1, None, "--ed -1"), (None, 1.5, "--es 1.5"), (True, None, "--ed True"), (3, 3, "--ed 3")],
)
def test_impossible_frames_are_refused(ed: int, es: int, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Overrides(ed=ed, es=es)


def test_frames_beyond_a_cine_are_refused() -> None:
    with pytest.raises(InputError, match="x: ES frame 99 was asked for, but there are 20 "):
        Overrides(ed=0, es=99).check_frames(20, "x")
    Overrides(ed=0, es=19).check_frames(20, "x")
    Overrides(ed=0, es=99).check_frames(1, "x")  # a single frame has no phases


def test_an_empty_cell_means_the_value_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("Height: 180\nWeight: 80\n")
    table = tmp_path / "s.csv"
    table.write_text("id,sex,height_cm,weight_kg\nc,F,,70\n")
    given, _ = read_overrides([cine(tmp_path)], table)
    context = find_context([cine(tmp_path)], [1, 2], given)
    assert context.subject == Subject("F", 180, 70)


def test_a_row_that_cannot_be_used_is_a_flag_of_its_patient(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("Height: 180\nWeight: 80\n")
    table = tmp_path / "s.csv"
    table.write_text("id,sex,height_cm\nc,F,1.7\n")
    given, problems = read_overrides([cine(tmp_path)], table)
    line = (
        "s.csv, line 2: c: height_cm is 1.7 (in meters?), expected 30 to 250; the row is not used"
    )
    assert problems == [line]
    context = find_context([cine(tmp_path)], [1, 2], given)
    assert context.warnings == (line,)
    assert context.subject == Subject(None, 180, 80)


def test_a_phase_of_a_single_frame_is_not_missed(tmp_path: Path) -> None:
    context = find_context([cine(tmp_path)], [1], Overrides(ed=0, es=7))
    assert (context.ed, context.es, context.warnings) == (0, None, ())


def test_an_implausible_body_in_info_cfg_is_reported(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("Height: 1.8\nWeight: 80\n")
    context = find_context([cine(tmp_path)], [1, 2])
    assert context.warnings == ("Info.cfg: height_cm is 1.8 (in meters?), expected 30 to 250",)
    assert context.subject == Subject(weight_kg=80)


def test_height_and_weight_that_do_not_fit_each_other_give_no_surface(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("Height: 67\nWeight: 154\n")  # inches and pounds
    context = find_context([cine(tmp_path)], [1, 2])
    (warning,) = context.warnings
    assert warning.startswith("Info.cfg: height_cm is 67 and weight_kg is 154")
    assert warning.endswith("check the units")
    assert context.subject.bsa_m2 is None
    table = tmp_path / "s.csv"
    table.write_text("id,weight_kg,height_cm\nc,154,67\n")
    given, (problem,) = read_overrides([cine(tmp_path)], table)
    assert "check the units; the row is not used" in problem
    assert find_context([cine(tmp_path)], [1, 2], given).warnings == (problem, warning)


def test_unknown_ids_are_reported(tmp_path: Path) -> None:
    table = tmp_path / "s.csv"
    table.write_text("id,sex\np,F\nother,M\n")
    cases = [Case(Path("p_frame01.nii.gz"), "p_frame01")]
    given, problems = read_overrides(cases, table, 1, None)
    assert given.subjects["p"].sex == "F"
    assert (given.ed, given.es) == (1, None)
    assert problems == [f"{table}: other is none of the patients"]


def test_a_folder_to_compare_with_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone: no such folder"):
        read_overrides([], compare=[tmp_path / "gone"])
