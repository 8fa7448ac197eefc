from __future__ import annotations

import csv
import io
import json
import math
import re

from ctct.evaluation.evaluate import Evaluation, IndexPair
from ctct.evaluation.files import evaluation_files
from ctct.evaluation.page import draw_bland_altman
from ctct.evaluation.score import SliceCounts, VolumeScore
from ctct.evaluation.statistics import compare_paired
from ctct.evaluation.summary import Findings, Quantity
from ctct.labels import STRUCTURES
from ctct.measurement.volumes import INDEX_COLUMNS

SCRIPT = "<script>alert(1)</script>"


def score(case: str, phase: str, dice: float) -> VolumeScore:
    metrics = {"Dice": dice, "Jaccard": dice / (2 - dice), "HD95": 4.0, "ASSD": math.nan}
    return VolumeScore(
        patient=case.split("_")[0],
        case=case,
        frame=0,
        phase=phase,
        metrics=dict.fromkeys(STRUCTURES, metrics),
        regions={"base": dict.fromkeys(STRUCTURES, dice)},
        slices={"base": dict.fromkeys(STRUCTURES, SliceCounts(1, 3, 2, 4))},
        empty=dict.fromkeys(STRUCTURES, ""),
    )


def indices(ef: float) -> dict[str, float]:
    return {c: ef if c == "LVEF (%)" else 100.0 for c in INDEX_COLUMNS}


EVALUATION = Evaluation(
    unit="mm",
    scores=(score("a_frame01", "ED", 0.9), score("a_frame12", "ES", 0.8), score(SCRIPT, "", 0.5)),
    indices={"a": IndexPair(indices(60), indices(56)), SCRIPT: IndexPair(indices(50), indices(48))},
    unpredicted=("gone",),
    unreferenced=(),
    failed={"bad": "bad.nii.gz: <b>odd</b>"},
)


def test_csv_has_a_row_per_frame_and_a_row_per_patient() -> None:
    files = evaluation_files(Findings.from_evaluation(EVALUATION))
    rows = list(csv.DictReader(io.StringIO(files["scores.csv"].decode())))
    assert [row["case"] for row in rows] == ["a_frame01", "a_frame12", SCRIPT]
    assert (rows[0]["LV Dice"], rows[0]["RV HD95 (mm)"], rows[0]["RV ASSD (mm)"]) == (
        "0.9000",
        "4.0000",
        "",
    )
    assert (rows[0]["LV Dice base"], rows[0]["LV Dice apex"]) == ("0.9000", "")
    assert (rows[0]["RV missed slices base"], rows[0]["RV false slices base"]) == ("1", "2")
    assert rows[0]["RV missed slices apex"] == ""
    patients = list(csv.DictReader(io.StringIO(files["indices.csv"].decode())))
    assert patients[0]["LVEF (%) predicted"] == "60.0000"
    assert patients[0]["LVEF (%) reference"] == "56.0000"


def test_json_is_strict_and_holds_the_averages() -> None:
    content = json.loads(
        evaluation_files(Findings.from_evaluation(EVALUATION))["evaluation.json"],
        parse_constant=lambda c: 1 / 0,
    )
    first = content["averages"][0]
    assert (first["group"], first["structure"], first["metric"]) == ("all", "mean", "Dice")
    assert math.isclose(first["mean"], (0.9 + 0.8 + 0.5) / 3)
    assert content["agreement"]["LVEF (%)"]["bias"] == 3.0
    assert content["failed"] == EVALUATION.failed
    rv_at_es = next(s for s in content["slices"] if (s["group"], s["structure"]) == ("ES", "RV"))
    assert (rv_at_es["missed"], rv_at_es["present"], rv_at_es["false_rate"]) == (1, 3, 0.5)
    everywhere = content["slices"][0]
    assert (everywhere["group"], everywhere["missed"], everywhere["absent"]) == ("all", 3, 12)


def test_html_loads_nothing_and_escapes_text_from_files() -> None:
    comparisons = {Quantity("all", "LV", "Dice"): compare_paired([0.9], [0.9], ["a"])}
    html = evaluation_files(Findings.from_evaluation(EVALUATION, SCRIPT, comparisons))[
        "evaluation.html"
    ].decode()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<b>odd" not in html
    assert not re.search(r"(src|href)=|url\(|@import|https?://", html)
    assert "References without a prediction" in html
    assert html.count("<svg") == 6  # box plots of all frames, ED and ES; three of Bland-Altman


def test_bland_altman_places_points_by_mean_and_difference() -> None:
    picture = draw_bland_altman(EVALUATION, "LVEF (%)")
    dots = [tuple(map(float, d)) for d in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', picture)]
    assert len(dots) == 2
    # a: mean 58, difference 4; the other: mean 49, difference 2. Up is less in pixels.
    assert dots[0][0] > dots[1][0]
    assert dots[0][1] < dots[1][1]
    assert "bias 3.0" in picture
    # Differences 4 and 2: standard deviation sqrt(2), limits 3 ± 1.96 x 1.414.
    assert "+1.96 SD 5.8" in picture
