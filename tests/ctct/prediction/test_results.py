"""Patients joined from the records of their scans, and the files made of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests_support import analyze_phantom

from ctct.cases.case import Case
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import OK
from ctct.prediction.case_files import CaseFiles, PredictOptions
from ctct.prediction.case_record import (
    record_of,
    with_result,
    write_record,
)
from ctct.prediction.case_result import CaseResult
from ctct.prediction.patients import Overrides
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import (
    TableOptions,
    encode_results,
    join_entries,
    list_entries,
    write_results,
)
from ctct.prediction.run_manifest import DONE, FAILED, CaseStatus
from ctct.report import report_page

NAMES = ("p_frame09", "cine", "p_frame01", "q_frame01", "q_frame02")
CASES = [Case(Path(f"in/{name}.nii.gz"), name) for name in NAMES]


def store(folder: Path, case: Case, result: CaseResult | None) -> None:
    """The record of a case, with its pictures and an empty label map."""
    status = CaseStatus(case.name, str(case.path))
    if result is None:
        write_record(folder, record_of(case, status, status=FAILED))
        return
    record = with_result(record_of(case, status, status=DONE), result)
    write_record(folder, CaseFiles(folder, PredictOptions())._draw(case, record, result))
    output_path(folder, case.name).touch()


def join(folder: Path, options: TableOptions | None = None) -> list[PatientResult]:
    return list(join_entries(list_entries(folder), options or TableOptions()))


def collect(
    folder: Path,
    cases: Sequence[Case] = CASES,
    failed: str = "",
    overrides: Overrides | None = None,
) -> list[PatientResult]:
    for one in cases:
        result = analyze_phantom(one.name, 2 if one.name.endswith(("9", "2")) else 5)
        store(folder, one, None if one.name == failed else result)
    return join(folder, TableOptions(overrides or Overrides()))


def test_files_of_a_patient_are_joined_by_frame_number(tmp_path: Path) -> None:
    cine, p, q = collect(tmp_path)
    assert [patient.name for patient in (cine, p, q)] == ["cine", "p", "q"]
    assert [frame.name for frame in p.measurements.frames] == ["p_frame01", "p_frame09"]
    assert p.picture.startswith(b"\xff\xd8")
    assert len(p.disagreement) == 2
    # The wall is 3 pixels of 1.5 mm thick.
    assert p.ed_wall_mm[0] == pytest.approx(4.5, abs=0.4)
    assert len(p.es_wall_mm) == 16


def test_a_patient_of_whom_nothing_was_measured_is_left_out(tmp_path: Path) -> None:
    assert [patient.name for patient in collect(tmp_path, failed="cine")] == ["p", "q"]


def test_a_case_whose_label_map_was_removed_is_left_out(tmp_path: Path) -> None:
    collect(tmp_path)
    output_path(tmp_path, "cine").unlink()
    assert [patient.name for patient in join(tmp_path)] == ["p", "q"]


def test_patients_of_the_same_name_in_two_folders_are_two(tmp_path: Path) -> None:
    names = ("a_p_frame01", "b_p_frame02")
    cases = [Case(Path(f"{name[0]}/{name[2:]}.nii.gz"), name) for name in names]
    assert [patient.name for patient in collect(tmp_path, cases)] == ["a_p", "b_p"]


def test_cines_are_not_joined(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("p_phase1", "p_phase2"):
        store(tmp_path, Case(Path(f"{name}.nii"), name), analyze_phantom(name, frames=2))
    assert [patient.name for patient in join(tmp_path)] == ["p_phase1", "p_phase2"]
    assert "p: its files are cines; each is a patient of its own" in caplog.text


def test_a_frame_that_failed_is_a_flag_of_its_patient(tmp_path: Path) -> None:
    cases = [Case(Path(f"p_phase0{n}.nii"), f"p_phase0{n}") for n in range(3)]
    (patient,) = collect(tmp_path, cases, failed="p_phase01")
    assert "frames that could not be used: p_phase01.nii" in [
        flag.reason for flag in patient.judgement.flags
    ]


def test_frames_on_different_grids_are_flagged(tmp_path: Path) -> None:
    cases = [Case(Path(f"{name}.nii"), name) for name in ("p_ED", "p_ES")]
    ed, es = (analyze_phantom(case.name, n) for case, n in zip(cases, (5, 3), strict=True))
    es = replace(es, study=replace(es.study, affine=es.study.affine + np.eye(4, k=3)))
    for case, result in zip(cases, (ed, es), strict=True):
        store(tmp_path, case, result)
    (patient,) = join(tmp_path)
    assert (patient.measurements.ed, patient.measurements.es) == (0, 1)
    flag = "p_ED and p_ES differ in size or place; are both frames of one patient?"
    assert flag in [flag.reason for flag in patient.judgement.flags]


def test_without_a_report_nothing_is_drawn(tmp_path: Path) -> None:
    case, result = CASES[1], analyze_phantom("cine", frames=3)
    files = CaseFiles(tmp_path, PredictOptions(report=False))
    record = with_result(record_of(case, CaseStatus("cine", ""), status=DONE), result)
    assert files._draw(case, record, result) == record
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_drawn_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object, **settings: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("ctct.prediction.case_files.draw_phases", refuse)
    assert len(collect(tmp_path)) == 3
    assert "cine: no pictures, unexpected ZeroDivisionError: odd" in caplog.text


def test_phases_of_the_user_count_among_all_files(tmp_path: Path) -> None:
    patients = collect(tmp_path, overrides=Overrides(ed=1, es=0))
    assert (patients[1].measurements.ed, patients[1].measurements.es) == (1, 0)


def test_what_tables_hold_survives_the_manifest() -> None:
    overrides = Overrides({}, 1, 0, (Path("/other"),), {"p": ("odd",)}, (("p", "q"),))
    options = TableOptions(overrides, "mnms", False, papillary="cavity")
    assert TableOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert TableOptions.from_json({}) == TableOptions()


def test_files_written_patient_by_patient_are_those_of_all_at_once(tmp_path: Path) -> None:
    patients = collect(tmp_path)
    summary = write_results(tmp_path, list_entries(tmp_path), {"ctct": "1"}, TableOptions())
    assert summary.patients == 3
    for name, content in encode_results(patients, {"ctct": "1"}).items():
        written = (tmp_path / name).read_bytes()
        if name.endswith(".json"):
            assert json.loads(written) == json.loads(content)
        else:
            assert written == content, name


def test_a_case_measured_otherwise_than_asked_for_is_told(tmp_path: Path) -> None:
    collect(tmp_path)
    cine, *_ = join(tmp_path, TableOptions(papillary="cavity"))
    assert cine.judgement.verdict != OK
    reasons = [flag.reason for flag in cine.judgement.flags]
    assert any("papillary muscles are counted otherwise" in reason for reason in reasons)
    assert cine.remarks == {}


def test_tables_as_parquet_hold_the_numbers_of_the_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra cohort")
    collect(tmp_path)
    write_results(tmp_path, list_entries(tmp_path), {}, TableOptions(), parquet=True)
    for name in ("measurements", "frames", "segments"):
        table = parquet.read_table(tmp_path / f"{name}.parquet").to_pylist()
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(table) == len(rows) > 0
        for typed, text in zip(table, rows, strict=True):
            assert list(typed) == list(text)
            for column, value in typed.items():
                if isinstance(value, float) and value == value:
                    assert float(text[column]) == pytest.approx(value, abs=0.0051)
                elif isinstance(value, str | int):
                    assert text[column].lstrip("'") == str(value)


def test_a_long_report_has_pages_and_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "MAX_ON_ONE_PAGE", 2)
    monkeypatch.setattr(report_page, "PER_PAGE", 2)
    collect(tmp_path)
    former = tmp_path / "report" / "page_0003.html"
    former.parent.mkdir()
    former.touch()
    write_results(tmp_path, list_entries(tmp_path), {}, TableOptions())
    index = (tmp_path / "report.html").read_text()
    assert "3 patients: " in index
    pages = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert pages == ["page_0001.html", "page_0002.html"]
    assert 'href="report/page_0001.html">cine to p<' in index
    assert 'href="../report.html"' in (tmp_path / "report" / pages[1]).read_text()
    monkeypatch.setattr(report_page, "MAX_ON_ONE_PAGE", 3)
    write_results(tmp_path, list_entries(tmp_path), {}, TableOptions())
    assert (tmp_path / "report.html").read_text().count('class="patient"') == 3
    assert not list((tmp_path / "report").iterdir())


def test_tables_and_report(tmp_path: Path) -> None:
    patients = collect(tmp_path)
    files = encode_results(patients, {"ctct": "1.2.3"})
    assert sorted(files) == [
        *("frames.csv", "measurements.csv", "measurements.json", "report.html", "segments.csv")
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


def test_files_of_two_hearts_are_flagged_from_their_records(tmp_path: Path) -> None:
    ed, es = analyze_phantom("p_ED"), analyze_phantom("p_ES", 4)
    moved = replace(
        es,
        labels=np.roll(es.labels, 20, -1),
        study=replace(es.study, voxels=np.roll(es.study.voxels, 20, -1)),
    )
    for folder, second in ((tmp_path / "one", es), (tmp_path / "two", moved)):
        folder.mkdir()
        for result in (ed, second):
            store(folder, Case(Path(f"in/{result.name}.nii.gz"), result.name), result)
    reasons = [flag.reason for flag in join(tmp_path / "one")[0].judgement.flags]
    assert not any("show one heart" in reason or "heartbeat" in reason for reason in reasons)
    (patient,) = join(tmp_path / "two")
    assert patient.judgement.verdict == "reject"
    reasons = [flag.reason for flag in patient.judgement.flags]
    assert any("less alike than those of one heartbeat" in reason for reason in reasons)
    assert any("ED and ES hardly show one heart" in reason for reason in reasons)
