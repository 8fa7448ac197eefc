from __future__ import annotations

from pathlib import Path

import pytest

from ctct.errors import ConfigError
from ctct.io.case import Case
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes
from ctct.predict.patients import Overrides, measure_patients, read_overrides


def frames(name: str, *lv_ml: float) -> list[FrameVolumes]:
    return [FrameVolumes(name, i, {"RV": 1.0, "MYO": 2.0, "LV": v}) for i, v in enumerate(lv_ml)]


def test_frames_of_one_patient_are_joined_by_number() -> None:
    early, late = (Case(Path(f"a/p_frame{n}.nii.gz"), f"p_frame{n}") for n in ("02", "10"))
    measured = measure_patients([(late, frames("late", 40)), (early, frames("early", 100))])
    assert list(measured) == ["p"]
    assert [f.name for f in measured["p"].frames] == ["early", "late"]
    assert measured["p"].indices["LVEF (%)"] == pytest.approx(60)  # (100 - 40) / 100


def test_info_cfg_names_the_phases(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DCM\n")
    cases = [Case(tmp_path / f"p_frame{n:02}.nii.gz", f"p_frame{n:02}") for n in (1, 12)]
    # The volumes would say the opposite.
    measured = measure_patients([(cases[0], frames("a", 40)), (cases[1], frames("b", 100))])["p"]
    assert (measured.ed, measured.es) == (0, 1)


def test_a_cine_is_a_patient_and_a_lone_frame_has_no_phases() -> None:
    cine, lone = Case(Path("x/cine.nii"), "cine"), Case(Path("x/lone_frame01.nii"), "lone_frame01")
    measured = measure_patients([(cine, frames("cine", 90, 30, 60)), (lone, frames("lone", 80))])
    assert (measured["cine"].ed, measured["cine"].es) == (0, 1)
    assert measured["lone"].indices == {}


def test_what_the_user_says_wins_and_nonsense_is_said(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("ED: 3\nES: 1\nHeight: 180\nWeight: 80\n")
    cine = Case(tmp_path / "c.nii.gz", "c")
    (one,) = measure_patients([(cine, frames("c", 90, 30, 60))]).values()
    assert (one.ed, one.es) == (2, 0)  # Info.cfg counts from 1
    assert one.all_indices["BSA (m2)"] == pytest.approx(2.0)  # sqrt(180 x 80 / 3600)
    given = Overrides({"c": Subject(height_cm=160, weight_kg=90)}, ed=0, es=7)
    (one,) = measure_patients([(cine, frames("c", 90, 30, 60))], given).values()
    assert (one.ed, one.es) == (0, 0)
    assert one.all_indices["BSA (m2)"] == pytest.approx(2.0)
    assert one.warnings[-1] == "ES frame 7 was asked for, there are 3"


def test_an_info_cfg_with_a_strange_body_is_said(tmp_path: Path) -> None:
    (tmp_path / "Info.cfg").write_text("Height: 1.8\nWeight: 80\n")
    (one,) = measure_patients([(Case(tmp_path / "c.nii.gz", "c"), frames("c", 90, 30))]).values()
    assert one.warnings == ("Info.cfg: height_cm is 1.8 (in metres?), expected 40 to 250",)
    assert "BSA (m2)" not in one.all_indices


def test_unknown_ids_are_said(tmp_path: Path) -> None:
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
