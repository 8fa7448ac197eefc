from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import replace

import numpy as np

from ctct.measurement.papillary import papillary_remark
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import Flag, Judgement
from ctct.measurement.quality_indicators import frame_indicators
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, measure_frames
from ctct.report.html import render
from ctct.report.patient_page import (
    IndexRow,
    draw_disagreement,
    draw_volume_curve,
    explain_missing,
)
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
    assert html.count("<script") == 1  # the page's own
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;") >= 4  # table, title, reason, model


def test_no_script_but_the_page_s_own_may_run() -> None:
    html = cohort_html([result()], {}).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'"
    )
    assert "script" not in cohort_html([], {}).decode()


def test_ranges_and_marks_need_a_sex() -> None:
    # LVEDV 110 mL, RVEF 0 %: of a man in and without range; RVSV 0 mL is low.
    man = cohort_html([result(sex="M")], {}).decode()
    assert "93 – 232" in man
    assert '<span class="outside">0.00 low</span>' in man
    assert "range (" not in cohort_html([result()], {}).decode()


def test_what_is_missing_is_explained() -> None:
    assert explain_missing(result(sex="M")) == [
        "RVEF, mass in g, ratios and rates have no range in the source.",
        "No cardiac output, times and rates: the heart rate is not known.",
    ]
    alone = replace(result(), measurements=replace(result().measurements, subject=Subject()))
    assert explain_missing(alone) == [
        "No reference ranges: the sex is not known.",
        "No indices per body surface: height and weight not known.",
        "No cardiac output, times and rates: the heart rate is not known.",
    ]
    otherwise = replace(result(sex="M"), remarks=papillary_remark("myocardium"))
    assert explain_missing(otherwise)[0].startswith("No reference ranges: they count papillary")


def test_a_range_never_excludes_its_own_value() -> None:
    html = render(
        "indices.html",
        columns=[],
        rows=[IndexRow("LVSV/RVSV", 0.956, "", None, False, None, (0.956, 1.204))],
        sex="",
        models=2,
        volumes_ml={},
    )
    assert "<td>0.96</td>" in html
    assert "<td>0.96 – 1.20</td>" in html  # and not 1.0 – 1.2
    # 232.04 mL is above 232: one decimal would say that it is not.
    high = IndexRow("LVEDV (mL)", 232.04, "high", (93, 232), True, None, None)
    assert high.shown == "232.04"


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


def test_times_are_in_ms_where_the_heart_rate_is_known() -> None:
    one = result(frames=10)
    assert ">frame</text>" in draw_volume_curve(one.measurements)
    known = replace(one.measurements, subject=Subject(heart_rate_bpm=60.0))
    picture = draw_volume_curve(known)
    assert ">time (ms)</text>" in picture
    assert ">800</text>" in picture  # ten frames of 100 ms: the last one begins at 900
    assert len(re.findall("LV peak (?:ejection|filling)", picture)) == 2


def test_the_curve_marks_ed_and_es() -> None:
    picture = draw_volume_curve(result().measurements)
    pattern = r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5"[^>]*><title>(E[DS])'
    marks = {name: (float(x), float(y)) for x, y, name in re.findall(pattern, picture)}
    assert marks["ED"][0] < marks["ES"][0]  # frame 0 before frame 5
    assert marks["ED"][1] < marks["ES"][1]  # 110 mL lies above 50 mL


def test_disagreement_has_a_cell_per_slice_gray_without_labels() -> None:
    picture = draw_disagreement(result(frames=3))
    assert picture.count("<rect") == 3 * 2 + 4  # and four colors of the scale
    assert picture.count("#e5e5e5") == 3  # the second slice holds nothing
    # 0.25 of the 0.6 that is deepest: 255 - 75 / 2.4, 245 - 215 / 2.4, 240 - 215 / 2.4.
    assert "rgb(224,155,150)" in picture
