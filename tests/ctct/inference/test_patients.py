from __future__ import annotations

from pathlib import Path

import pytest

from ctct.inference.patients import measure_patients, patient_of
from ctct.io.discover import Case
from ctct.measurement.volumes import FrameVolumes


def frames(name: str, *lv_ml: float) -> list[FrameVolumes]:
    return [FrameVolumes(name, i, {"RV": 1.0, "MYO": 2.0, "LV": v}) for i, v in enumerate(lv_ml)]


@pytest.mark.parametrize(
    ("name", "patient", "number"),
    [
        ("patient002_frame01", "patient002", 1),
        ("p-Frame12", "p", 12),
        ("cine", "cine", None),
        ("frame01", "frame01", None),
    ],
)
def test_patient_and_frame_from_the_name(name: str, patient: str, number: int | None) -> None:
    assert patient_of(Case(Path(f"{name}.nii.gz"), name)) == (patient, number)


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
