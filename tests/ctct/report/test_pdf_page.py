"""The PDF says what the tables and the page say."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from datetime import datetime

import pytest
from tests_support import analyze_phantom

pytest.importorskip("fpdf")

from ctct.measurement.patient import PatientResult
from ctct.measurement.subject import Subject
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.report.pdf_page import NOTE, patient_pdf

MADE = datetime(2026, 1, 2, 3, 4, 5)


def result(frames: int = 4) -> PatientResult:
    case = analyze_phantom("patient-7", labelled_slices=3, frames=frames)
    return add_phases(join_cases([case]), [case])


def words(pdf: bytes) -> str:
    """The text of the pages, as the streams of the file hold it."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    texts = []
    for stream in streams:
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        texts += re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", content)
    return b" ".join(texts).decode("windows-1252").replace("\\", "")


def test_the_page_tells_verdict_reasons_and_indices() -> None:
    patient = result()
    shown = words(patient_pdf(patient, MADE, about="ctct 1.0"))
    assert NOTE in shown
    assert "ctct 1.0" in shown
    assert f"Verdict: {patient.judgement.verdict}" in shown
    assert "patient-7" in shown
    for name, value in patient.measurements.indices.items():
        assert name.split()[0] in shown
        assert f"{value:.2f}" in shown or f"{value:.1f}" in shown
    assert "wall thickness at ED" in shown
    assert "volume (mL)" in shown


def test_a_segment_without_a_thickness_has_a_dash() -> None:
    patient = replace(result(), ed_wall_mm=(float("nan"), *([7.5] * 15)))
    shown = words(patient_pdf(patient, MADE))
    assert shown.count("7.5") == 15


def test_the_z_score_stands_beside_the_range() -> None:
    patient = result()
    body = Subject("M", 180, 80)
    known = replace(patient, measurements=replace(patient.measurements, subject=body))
    z = (known.measurements.indices["LVEF (%)"] - 58) / 5
    shown = words(patient_pdf(known, MADE))
    assert f"48 – 68 {z:+.1f}" in shown
    assert " z " in shown


def test_equal_results_give_equal_files() -> None:
    assert patient_pdf(result(), MADE) == patient_pdf(result(), MADE)


def test_a_single_frame_has_volumes_alone() -> None:
    shown = words(patient_pdf(result(frames=1), MADE))
    assert "LVEF" not in shown
    assert "MYO" in shown


def test_a_name_that_the_font_lacks_is_not_shown_with_gaps() -> None:
    names = {"patient name": "山田^太郎", "patient ID": "Jörg (1)"}
    shown = words(patient_pdf(replace(result(), name="山田"), MADE, names))
    assert "patient name: (as in the header of the file)" in shown
    assert "patient ID: Jörg (1)" in shown
    assert "?" not in shown.split("Verdict")[0]
    assert words(patient_pdf(replace(result(), name="山田"), MADE)).count("??") == 1
