"""Which studies are of one patient, by name, table and DICOM header."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests_support import analyze_phantom

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.errors import ConfigError
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import OK, REJECT
from ctct.prediction.follow_ups import compare_studies, find_chains, read_chains
from ctct.prediction.patient_result import join_cases
from ctct.prediction.patients import read_subjects

CASES = [Case(Path(f"{name}.nii"), name) for name in ("a", "b", "c")]


def test_studies_are_named_earliest_first() -> None:
    assert find_chains(["b, a", "a,b,c"], CASES) == (("b", "a"), ("a", "b", "c"))


@pytest.mark.parametrize("text", ["a", "a,a", "a,d", ""])
def test_bad_names_get_one_clear_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--follow-up .*: (name two|d is none of the patients)"):
        find_chains([text], CASES)


def test_of_scans_that_are_not_known_yet_names_are_taken_and_headers_are_not() -> None:
    assert find_chains(["a,d"], None) == (("a", "d"),)
    with pytest.raises(ConfigError, match="an index holds no PatientID"):
        find_chains(["dicom"], None)


def table(folder: Path, *rows: str) -> Path:
    path = folder / "subjects.csv"
    path.write_text("\n".join(("id,sex,follow_up_of", *rows)))
    return path


def test_the_table_links_studies_in_any_order(tmp_path: Path) -> None:
    path = table(tmp_path, "c,F,b", "a,F,", "b,F,a", "d,M,")
    assert read_chains(path) == ((("a", "b", "c"),), [])
    subjects, problems = read_subjects(path)
    assert (len(subjects), problems) == (4, [])


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    chains, problems = read_chains(table(tmp_path, "a,F,z", "b,F,b", "c,F,d", "d,F,c", "e,F,"))
    assert chains == ()
    assert [problem.removeprefix(f"{tmp_path}/subjects.csv: ") for problem in problems] == [
        "a follows z, which is none of its ids",
        "b follows itself",
        "c follows itself",
        "d follows itself",
    ]


def test_a_table_without_the_column_links_nothing(tmp_path: Path) -> None:
    path = tmp_path / "subjects.csv"
    path.write_text("id,sex\na,F\n")
    assert read_chains(path) == ((), [])


def test_dicom_studies_of_one_patient_are_ordered_by_date(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from dicom_support import write_cine

    for name, patient, date in (
        ("later", "ID-1", "20230101"),
        ("first", "ID-1", "20200101"),
        ("other", "ID-2", "20210101"),
        ("unnamed", "", "20220101"),
    ):
        attributes = {
            "PatientID": patient,
            "StudyDate": date,
            "StudyInstanceUID": f"1.2.{date}",
            "SeriesInstanceUID": f"1.3.{date}",
        }
        write_cine(tmp_path / name, 8, 6, lambda t, z, a=attributes: a)
    cases, _ = discover([tmp_path])
    assert find_chains(["dicom"], cases) == (("first", "later"),)


def test_scans_without_headers_have_no_follow_up(caplog: pytest.LogCaptureFixture) -> None:
    assert find_chains(["dicom"], CASES) == ()
    assert "no PatientID has studies of two dates" in caplog.text


def study(name: str, slices: int = 3) -> PatientResult:
    result = join_cases([analyze_phantom(name, slices, frames=2)], None, name)
    return replace(result, judgement=replace(result.judgement, verdict=OK))


def test_each_later_study_is_compared_with_the_first() -> None:
    results = [study("a", 3), study("b", 2), study("c", 4)]
    (one,) = compare_studies([("a", "b", "c")], results)
    assert one.studies == ("a", "b", "c")
    # ESV: 3, 2 and 4 of 5 equal slices, so EF 40, 60 and 20 %.
    fractions = [c for later in one.changes for c in later if c.index == "LVEF (%)"]
    assert [(c.before, c.after) for c in fractions] == [
        (pytest.approx(40), pytest.approx(60)),
        (pytest.approx(40), pytest.approx(20)),
    ]
    assert one.doubts == ()


def test_doubts_about_a_study_are_told(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = study("a"), study("b")
    bad = replace(bad, judgement=replace(bad.judgement, verdict=REJECT))
    edited = replace(study("c"), remarks={"edited": "50 voxels"})
    (one,) = compare_studies([("a", "b", "c", "lost")], [good, bad, edited])
    assert one.doubts == (
        "the verdict on b is reject",
        "c was edited by hand, and the noise is that of the networks",
    )
    assert "follow-up of lost: has no ED and ES, left out" in caplog.text


def test_one_study_is_no_follow_up() -> None:
    assert compare_studies([("a", "b")], [study("a")]) == ()
