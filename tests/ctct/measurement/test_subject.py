from __future__ import annotations

import pytest

from ctct.errors import InputError
from ctct.measurement.ranges import RANGES, normal_range, out_of_range
from ctct.measurement.subject import SUBJECT_COLUMNS, Subject, indices_of_subject


def test_mosteller_by_hand() -> None:
    assert Subject(height_cm=180, weight_kg=80).bsa_m2 == pytest.approx(2.0)  # 14400 / 3600 = 4
    assert Subject(height_cm=180).bsa_m2 is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height_cm": 1.75}, "in meters"),
        ({"weight_kg": -70.0}, "weight_kg is -70"),
        ({"heart_rate_bpm": 1.0}, "heart_rate_bpm is 1"),
        ({"height_cm": float("nan")}, "height_cm is nan"),
        ({"height_cm": 67.0, "weight_kg": 154.0}, "body mass index of 343.*check the units"),
        ({"height_cm": 70.0, "weight_kg": 170.0}, "check the units"),  # swapped
        ({"height_cm": 200.0, "weight_kg": 20.0}, "body mass index of 5 .*check the units"),
        ({"sex": "x"}, "expected M or F"),
    ],
)
def test_impossible_bodies(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Subject(**values)


@pytest.mark.parametrize("body", [(48, 3), (30, 1), (150, 99), (170, 230), (195, 55), (110, 17)])
def test_bodies_from_newborns_to_obese_adults_are_possible(body: tuple[float, float]) -> None:
    Subject(height_cm=body[0], weight_kg=body[1])


def test_indices_as_far_as_the_body_is_known() -> None:
    indices = {"LVSV (mL)": 70.0, "LVM (g)": 100.0}
    assert indices_of_subject(indices, Subject()) == {}
    found = indices_of_subject(indices, Subject(heart_rate_bpm=100))
    assert found == {"LVCO (L/min)": pytest.approx(7.0)}
    found = indices_of_subject(indices, Subject(height_cm=180, weight_kg=80))
    assert found == pytest.approx({"BSA (m2)": 2, "LVSVi (mL/m2)": 35, "LVMi (g/m2)": 50})
    assert set(found) < set(SUBJECT_COLUMNS)


def test_marks_depend_on_the_sex() -> None:
    indices = {"LVEDV (mL)": 200.0, "LVEF (%)": 40.0, "LVM (g)": 900.0}
    assert out_of_range(indices, "M") == {"LVEF (%)": "low"}
    assert out_of_range(indices, "F") == {"LVEDV (mL)": "high", "LVEF (%)": "low"}
    assert out_of_range(indices, None) == {}
    assert normal_range("LVM (g)", "M") is None


def test_ranges_of_mean_and_standard_deviation_by_hand() -> None:
    for index, sex, mean, sd in (
        ("LVEF (%)", "M", 58, 5),
        ("LVEF (%)", "F", 61, 5),
        ("LVMi (g/m2)", "M", 53, 9),
        ("LVMi (g/m2)", "F", 42, 7),
    ):
        assert RANGES[index][sex] == (round(mean - 1.96 * sd), round(mean + 1.96 * sd))
