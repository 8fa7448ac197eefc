from __future__ import annotations

from pathlib import Path

import pytest

from ctct.errors import ConfigError
from ctct.io.case import Case
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
    assert frame_numbers("p_frame12", 1) == [12]
    assert frame_numbers("cine", 3) == [1, 2, 3]


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


def test_a_phase_of_a_single_frame_is_not_missed(tmp_path: Path) -> None:
    context = find_context([cine(tmp_path)], [1], Overrides(ed=0, es=7))
    assert (context.ed, context.es, context.warnings) == (0, None, ())


def test_an_implausible_body_in_info_cfg_is_reported(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("Height: 1.8\nWeight: 80\n")
    context = find_context([cine(tmp_path)], [1, 2])
    assert context.warnings == ("Info.cfg: height_cm is 1.8 (in meters?), expected 40 to 250",)
    assert context.subject == Subject(weight_kg=80)


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
