"""The table of patients in a real browser: sorted, filtered, dark, and one printed page each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests_support import analyze_phantom

from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import OK, REVIEW, Judgement
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.report import report_page
from ctct.report.report_page import ReportWriter


def patient(name: str, verdict: str, score: float) -> PatientResult:
    case = analyze_phantom(name, labelled_slices=3, frames=10)
    result = add_phases(join_cases([case]), [case])
    return replace(result, judgement=Judgement(verdict, score, ()))


PATIENTS = (("P2", OK, 0.2), ("P10", REVIEW, 0.5), ("P1", OK, float("nan")))


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    with ReportWriter(tmp_path, {}) as report:
        for one in PATIENTS:
            report.add(patient(*one))
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.faults = []
    page.on("console", lambda message: page.faults.append(message.text))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto((tmp_path / "report.html").as_uri())
    yield page
    assert page.faults == []
    context.close()


def shown(page: Any) -> list[str]:
    names: list[str] = page.locator("#patients tbody tr:visible th").all_inner_texts()
    return names


def test_a_click_sorts_and_another_turns_it_round(page: Any) -> None:
    assert shown(page) == ["P2", "P10", "P1"]
    page.get_by_role("button", name="patient").click()
    assert shown(page) == ["P1", "P2", "P10"]  # by number, not by letter
    page.get_by_role("button", name="patient").click()
    assert shown(page) == ["P10", "P2", "P1"]
    page.get_by_role("button", name="score").click()
    assert shown(page) == ["P2", "P10", "P1"]  # what is not known comes last


def test_the_filter_hides_rows_and_sections(page: Any) -> None:
    page.get_by_label("Verdict").select_option("ok")
    assert shown(page) == ["P2", "P1"]
    assert page.locator("section.patient:visible").count() == 2
    page.get_by_label("Patient", exact=True).fill("p1")
    assert shown(page) == ["P1"]
    assert page.locator("#filter output").inner_text() == "1 of 3 shown"
    page.get_by_label("Verdict").select_option("all")
    assert shown(page) == ["P10", "P1"]


def test_each_patient_is_one_printed_page(page: Any) -> None:
    content = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 1 + len(PATIENTS)


def test_dark_colors_and_a_narrow_screen(page: Any) -> None:
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 28, 34)"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_index_of_many_patients_is_sorted_and_filtered_too(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "MAX_ON_ONE_PAGE", 2)
    monkeypatch.setattr(report_page, "PER_PAGE", 2)
    with ReportWriter(tmp_path, {}) as report:
        for one in PATIENTS:
            report.add(patient(*one))
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.get_by_label("Patient", exact=True).fill("P1")
    assert shown(page) == ["P10", "P1"]
    page.get_by_role("link", name="P1", exact=True).click()
    page.wait_for_url("**/page_0002.html#p0")
    page.close()
