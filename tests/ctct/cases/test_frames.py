"""Which files are frames of one patient."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctct.cases.case import Case
from ctct.cases.frames import join_frames


def patients(*names: str, folder: str = "in") -> dict[str, list[str]]:
    """Patient to the names of the patient's files."""
    cases = join_frames([Case(Path(folder) / f"{name}.nii.gz", name) for name in names])
    joined: dict[str, list[str]] = {}
    for case in cases:
        joined.setdefault(case.patient, []).append(case.name)
    return joined


@pytest.mark.parametrize(
    ("names", "patient"),
    [
        (["A0S9V9_SA_ED", "A0S9V9_SA_ES"], "A0S9V9_SA"),
        (["P01_ED", "P01_ES"], "P01"),
        (["p-ed", "p-es"], "p"),
        (["p_LVED", "p_LVES"], "p"),
        (["p-rved", "p-rves"], "p"),
        (["p_LV_ED", "p_LV_ES"], "p"),
        (["p_dia", "p_sys"], "p"),
        (["p_diastole", "p_end_systole"], "p"),
        (["p_frame01", "p_frame12"], "p"),
        (["p_phase00", "p_phase01"], "p"),
        (["p_frame01_0000", "p_frame12_0000"], "p"),
        (["p_ED_0000", "p_ES_0000"], "p"),
        (["p_frame01_ED", "p_frame09_ES"], "p"),
        (["sax_t0", "sax_t160"], "sax"),
        (["sax_t1", "sax_t2", "sax_t3", "sax_t4", "sax_t5"], "sax"),
    ],
)
def test_files_of_one_patient(names: list[str], patient: str) -> None:
    assert patients(*names) == {patient: names}


@pytest.mark.parametrize(
    "names",
    [
        ["p_t1", "p_t2"],  # maps, or visits
        ["p_0000", "p_0001"],  # channels of nnU-Net
        ["p_1", "p_2"],
        ["AHMED", "AHMES"],
        ["001_LA_ED", "001_LA_ES"],  # long axis
        ["p_4ch_frame01", "p_4ch_frame12"],
        ["p_frame1", "p_frame01"],
        ["p_ED", "p-ed"],
        ["p_frame01", "p_ES"],
        ["p", "p_frame01", "p_frame07"],
        ["p", "p_ED"],
        ["P", "p_ED", "p_ES"],
    ],
)
def test_files_that_may_be_of_several_patients_stay_apart(names: list[str]) -> None:
    assert patients(*names) == {name: [name] for name in names}


def test_ventricles_with_frames_of_their_own_are_joined_apart() -> None:
    names = ["p_LVED", "p_LVES", "p_RVED", "p_RVES", "q_LVED", "q_LVES"]
    assert patients(*names) == {
        "p_LV": ["p_LVED", "p_LVES"],
        "p_RV": ["p_RVED", "p_RVES"],
        "q": ["q_LVED", "q_LVES"],
    }
    assert patients("p_LVED", "p_RVES") == {"p_LV": ["p_LVED"], "p_RV": ["p_RVES"]}


def test_frames_in_two_folders_are_of_two_patients() -> None:
    cases = [
        Case(Path(f"in/{folder}p_frame0{n}.nii"), f"{prefix}p_frame0{n}")
        for n, (folder, prefix) in enumerate([("a/", "a_"), ("b/", "b_")])
    ]
    assert [case.patient for case in join_frames(cases)] == ["a_p", "b_p"]
    # "a/p_frame01" and "a_p_frame02" would both be of "a_p".
    cases[1] = Case(Path("in/a_p_frame01.nii"), "a_p_frame01")
    assert [case.patient for case in join_frames(cases)] == ["a_p_frame00", "a_p_frame01"]


def test_the_joined_files_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        patients("p_ED", "p_ES", "q_ED", "q_ES")
    assert (
        "joined as frames of one patient: p_ED.nii.gz, p_ES.nii.gz; likewise for 1 more"
        in caplog.text
    )
