from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import Flag, Judgement
from ctct.measurement.quality_indicators import frame_indicators
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, measure_frames
from ctct.report.patient_page import draw_disagreement, draw_volume_curve
from ctct.report.report_page import cohort_html

SCRIPT = "<script>alert(1)</script>"


def result(name: str = "p", frames: int = 10, sex: str | None = None) -> PatientResult:
    volumes = [
        FrameVolumes(
            name, t, {"RV": 100.0, "MYO": 90.0, "LV": 80 + 30 * math.cos(math.tau * t / 10)}
        )
        for t in range(frames)
    ]
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[0, 2:5, 2:5] = 3
    indicators = frame_indicators(
        labels.astype(np.float32), labels, np.full(labels.shape, 0.25, np.float32)
    )
    return PatientResult(
        name,
        measure_frames(volumes, subject=Subject(sex, 180, 80)),
        Judgement("review", 0.8, (Flag("review", f"odd {name}"),)),
        (indicators,) * frames,
        {},
        (10.0,) * 16,
        (15.0,) * 16,
        b"\xff\xd8picture",
        (b"\xff\xd8red",),
    )


def test_the_report_is_one_file_that_loads_nothing() -> None:
    html = cohort_html([result("a"), result("b", sex="M")], {"model": "m.onnx"}).decode()
    assert html.count('class="patient"') == 2
    assert 'href="#p1"' in html
    assert 'id="p1"' in html
    assert "2 patients: 2 review" in html
    assert "Research use only" in html
    assert "model m.onnx" in html
    assert html.count("data:image/jpeg;base64,/9hwaWN0dXJl") == 2
    assert html.count("data:image/jpeg;base64,/9hyZWQ=") == 2
    # Every reference stays inside the page.
    for reference in re.findall(r'(?:src|href)="([^"]*)"', html):
        assert reference.startswith(("#", "data:image/jpeg;base64,"))
    assert not re.search(r"url\(|@import|https?://", html)


def test_text_from_files_is_escaped() -> None:
    html = cohort_html([result(SCRIPT)], {"model": SCRIPT}).decode()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 4  # table, title, reason, model


def test_ranges_and_marks_need_a_sex() -> None:
    # LVEDV 110 mL, RVEF 0 %: of a man in and without range; RVSV 0 mL is low.
    man = cohort_html([result(sex="M")], {}).decode()
    assert "93 – 232" in man
    assert '<span class="outside">0.00 low</span>' in man
    assert "range (" not in cohort_html([result()], {}).decode()


def test_a_single_frame_has_volumes_and_no_charts() -> None:
    lone = replace(result(frames=1), ed_wall_mm=(), es_wall_mm=(), indicators=(None,))
    lone = replace(lone, picture=b"", disagreement=())
    html = cohort_html([lone], {}).decode()
    assert "One frame, no ED and ES" in html
    assert "<svg" not in html
    assert "<img" not in html
    assert ">110.0<" in html


def test_range_over_several_models() -> None:
    one = result()
    others = {
        name: one.measurements.indices | {"LVEF (%)": ef}
        for name, ef in (("cnn", 40.0), ("t", 60.0))
    }
    html = cohort_html([replace(one, by_model=others)], {}).decode()
    assert "of 3 models" in html
    assert "<td>40.0 – 60.0</td>" in html  # this one says 54.5
    assert "models" not in cohort_html([one], {}).decode()


def test_identifiers_are_shown_and_escaped() -> None:
    named = replace(result(), identifiers={"PatientName": "<b>Doe", "StudyDate": ""})
    assert "PatientName &lt;b&gt;Doe; StudyDate –" in cohort_html([named], {}).decode()


def test_no_patient() -> None:
    assert "No patient was measured" in cohort_html([], {}).decode()


def test_the_curve_marks_ed_and_es() -> None:
    picture = draw_volume_curve(result().measurements)
    pattern = r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5"[^>]*><title>(E[DS])'
    marks = {name: (float(x), float(y)) for x, y, name in re.findall(pattern, picture)}
    assert marks["ED"][0] < marks["ES"][0]  # frame 0 before frame 5
    assert marks["ED"][1] < marks["ES"][1]  # 110 mL lies above 50 mL


def test_disagreement_has_a_cell_per_slice_gray_without_labels() -> None:
    picture = draw_disagreement(result(frames=3))
    assert picture.count("<rect") == 3 * 2
    assert picture.count("#e5e5e5") == 3  # the second slice holds nothing
    # 0.25 of the 0.6 that is deepest: 255 - 75 / 2.4, 245 - 215 / 2.4, 240 - 215 / 2.4.
    assert "rgb(224,155,150)" in picture
