from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from tests_support import analyze_phantom

from ctct.cases.case import Case
from ctct.prediction import results
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.patients import Overrides
from ctct.prediction.results import PatientCollector, encode_results

NAMES = ("p_frame09", "cine", "p_frame01", "q_frame01", "q_frame02")
CASES = [Case(Path(f"in/{name}.nii.gz"), name) for name in NAMES]


def collect(options: PredictOptions | None = None, failed: str = "") -> PatientCollector:
    collector = PatientCollector(CASES, options or PredictOptions())
    for one in CASES:
        result = analyze_phantom(one.name, 2 if one.name.endswith(("9", "2")) else 5)
        collector.add(one, None if one.name == failed else result)
    return collector


def test_files_of_a_patient_are_joined_by_frame_number() -> None:
    patients = collect().results()
    assert [patient.name for patient in patients] == ["p", "cine", "q"]
    frames = patients[0].measurements.frames
    assert [frame.name for frame in frames] == ["p_frame01", "p_frame09"]
    assert patients[0].picture


def test_a_patient_is_joined_when_the_last_scan_is_done_or_has_failed() -> None:
    collector = PatientCollector(CASES, PredictOptions())
    first, last = CASES[0], CASES[2]
    collector.add(first, analyze_phantom(first.name, 2))
    assert collector.results() == []
    collector.add(last, None)
    (patient,) = collector.results()
    assert [frame.name for frame in patient.measurements.frames] == ["p_frame09"]
    collector.add(last, None)  # a second report of the same case changes nothing
    assert collector.results() == [patient]


def test_a_patient_of_whom_nothing_was_measured_is_left_out() -> None:
    assert [patient.name for patient in collect(failed="cine").results()] == ["p", "q"]


def test_patients_of_the_same_name_in_two_folders_are_two() -> None:
    names = ("a_p_frame01", "b_p_frame02")
    cases = [Case(Path(f"{name[0]}/{name[2:]}.nii.gz"), name) for name in names]
    collector = PatientCollector(cases, PredictOptions(report=False))
    for one in cases:
        collector.add(one, analyze_phantom(one.name))
    assert [patient.name for patient in collector.results()] == ["a_p", "b_p"]


def test_cines_are_not_joined(caplog: pytest.LogCaptureFixture) -> None:
    cases = [Case(Path(f"{name}.nii"), name) for name in ("p_phase1", "p_phase2")]
    collector = PatientCollector(cases, PredictOptions(report=False))
    for one in cases:
        collector.add(one, analyze_phantom(one.name, frames=2))
    assert [patient.name for patient in collector.results()] == ["p_phase1", "p_phase2"]
    assert "p: its files are cines; each is a patient of its own" in caplog.text


def test_a_frame_that_failed_is_a_flag_of_its_patient() -> None:
    cases = [Case(Path(f"p_phase0{n}.nii"), f"p_phase0{n}") for n in range(3)]
    collector = PatientCollector(cases, PredictOptions(report=False))
    for case, slices in zip(cases[:2], (5, 3), strict=True):
        collector.add(case, analyze_phantom(case.name, slices))
    collector.add(cases[2], None)
    (patient,) = collector.results()
    assert "frames that could not be used: p_phase02.nii" in [
        flag.reason for flag in patient.judgement.flags
    ]


def test_frames_on_different_grids_are_flagged() -> None:
    cases = [Case(Path(f"{name}.nii"), name) for name in ("p_ED", "p_ES")]
    ed, es = (analyze_phantom(case.name, n) for case, n in zip(cases, (5, 3), strict=True))
    es = replace(es, study=replace(es.study, affine=es.study.affine + np.eye(4, k=3)))
    collector = PatientCollector(cases, PredictOptions(report=False))
    for case, result in zip(cases, (ed, es), strict=True):
        collector.add(case, result)
    (patient,) = collector.results()
    assert (patient.measurements.ed, patient.measurements.es) == (0, 1)
    flag = "p_ED and p_ES differ in size or place; are both frames of one patient?"
    assert flag in [flag.reason for flag in patient.judgement.flags]


def test_results_may_come_from_several_threads() -> None:
    collector = PatientCollector(CASES, PredictOptions(report=False))
    threads = [Thread(target=collector.add, args=(one, analyze_phantom(one.name))) for one in CASES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [patient.name for patient in collector.results()] == ["p", "cine", "q"]


def test_the_report_shows_pictures_of_a_limited_number_of_patients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results, "MAX_PICTURED_PATIENTS", 2)
    collector = collect()
    assert collector.pictured == {"p_frame01", "p_frame09", "cine"}
    assert [bool(patient.picture) for patient in collector.results()] == [True, True, False]
    assert collector.results()[2].ed_wall_mm


def test_without_a_report_nothing_is_drawn() -> None:
    collector = collect(PredictOptions(report=False))
    assert not collector.pictured
    assert not any(patient.picture or patient.ed_wall_mm for patient in collector.results())


def test_a_picture_that_cannot_be_drawn_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object, **settings: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(results, "add_phases", refuse)
    patients = collect().results()
    assert len(patients) == 3
    assert "cine: no pictures, unexpected ZeroDivisionError: odd" in caplog.text


def test_phases_of_the_user_count_among_all_files() -> None:
    patients = collect(PredictOptions(overrides=Overrides(ed=1, es=0))).results()
    assert (patients[0].measurements.ed, patients[0].measurements.es) == (1, 0)


def test_tables_and_report() -> None:
    patients = collect().results()
    files = encode_results(patients, {"ctct": "1.2.3"})
    assert list(files) == [
        *("measurements.csv", "measurements.json", "frames.csv", "segments.csv", "report.html")
    ]
    assert files["measurements.csv"].count(b"\r\n") == 4
    assert b"1.2.3" in files["report.html"]
    files = encode_results(patients, compared=True, report=False)
    assert "by_model.csv" in files
    assert "report.html" not in files


def test_no_patient() -> None:
    files = encode_results([])
    assert files["measurements.csv"].count(b"\r\n") == 1
    assert b"No patient" in files["report.html"]
