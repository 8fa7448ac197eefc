from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import pytest
from tests_support import GOOD_INDICATORS

from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import Flag, Judgement
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, Measurements
from ctct.report.tables import (
    by_model_csv,
    csv_bytes,
    frames_csv,
    patients_csv,
    patients_json,
    segments_csv,
)
from ctct.storage import strict_json


def volumes(name: str, index: int, lv_ml: float) -> FrameVolumes:
    return FrameVolumes(name, index, {"RV": 50.0, "MYO": 100.0, "LV": lv_ml})


CINE = Measurements(
    (volumes("cine", 0, 120.0), volumes("cine", 1, 48.0)), ed=0, es=1, smooth_ml=(118.0, 50.0)
)
LONE = Measurements((volumes('odd, "name"', 0, math.nan),), ed=None, es=None)

GOOD = replace(
    GOOD_INDICATORS,
    disagreement={"RV": 0.1, "MYO": 0.2, "LV": 0.3},
    predicted_dice={"RV": 0.9, "MYO": math.nan},
)
P = PatientResult("p", CINE, Judgement("ok", 0.2, (), {"RV": 0.9, "LV": 0.95}), (None, GOOD))
Q = PatientResult("q", LONE, Judgement("review", math.nan, ()), (None,))


def test_patients() -> None:
    flagged = Judgement("review", 0.8, (Flag("review", "odd"), Flag("review", "strange")))
    woman = replace(CINE, subject=Subject("F", 180, 80))
    text = patients_csv([P, Q, PatientResult("w", woman, flagged, (None, None))]).decode()
    header, cine, lone, _ = text.splitlines()
    assert header == (
        "patient,frames,ED frame,ES frame,verdict,score,RV predicted Dice,MYO predicted Dice,"
        "LV predicted Dice,LVEDV (mL),LVESV (mL),LVSV (mL),LVEF (%),"
        "RVEDV (mL),RVESV (mL),RVSV (mL),RVEF (%),LVM (g),LVM ES (g),LVSV/RVSV,BSA (m2),"
        "LVEDVi (mL/m2),LVESVi (mL/m2),LVSVi (mL/m2),RVEDVi (mL/m2),RVESVi (mL/m2),"
        "RVSVi (mL/m2),LVMi (g/m2),LVCO (L/min),LVCOi (L/min/m2),out of range,flags"
    )
    # EF = 72 / 120; mass = 100 mL x 1.05 g/mL; the RV does not move.
    numbers = "120.00,48.00,72.00,60.00,50.00,50.00,0.00,0.00,105.00,105.00,"
    assert cine == f"p,2,0,1,ok,0.20,0.90,,0.95,{numbers}" + "," * 12
    assert lone == "q,1,,,review" + "," * 27
    row = list(csv.DictReader(io.StringIO(text)))[2]
    assert row["LVEDVi (mL/m2)"] == "60.00"
    assert row["out of range"] == (
        "RVEDV (mL) low; RVSV (mL) low; RVEDVi (mL/m2) low; RVSVi (mL/m2) low"
    )
    assert row["flags"] == "odd; strange"


def test_frames_have_their_phase_and_unknown_values_are_empty() -> None:
    assert frames_csv([P, Q]).decode().splitlines() == [
        "patient,case,frame,phase,RV volume (mL),MYO volume (mL),LV volume (mL),"
        '"LV volume, smooth (mL)",score,RV disagreement,MYO disagreement,LV disagreement,'
        "RV predicted Dice,MYO predicted Dice,LV predicted Dice",
        "p,cine,0,ED,50.00,100.00,120.00,118.00,,,,,,,",
        "p,cine,1,ES,50.00,100.00,48.00,50.00,0.20,0.100,0.200,0.300,0.90,,",
        'q,"odd, ""name""",0,,50.00,100.00,,,,,,,,,',
    ]


def test_frames_of_several_files_are_counted_as_in_the_table_of_patients() -> None:
    files = Measurements((volumes("p_ED", 0, 120.0), volumes("p_ES", 0, 48.0)), ed=0, es=1)
    p = PatientResult("p", files, Judgement("ok", 0.2, ()), (None, GOOD))
    frames = [line.split(",")[:4] for line in frames_csv([p]).decode().splitlines()[1:]]
    assert frames == [["p", "p_ED", "0", "ED"], ["p", "p_ES", "1", "ES"]]


def test_json_has_all_measurements_and_ranges() -> None:
    man = replace(P, measurements=replace(CINE, subject=Subject("M", 180, 80)))
    content = json.loads(strict_json(patients_json([man, Q])))
    p, q = content["patients"]["p"], content["patients"]["q"]
    assert "Petersen" in content["reference_ranges"]
    assert (p["verdict"], p["ed_frame"], p["es_frame"]) == ("ok", 0, 1)
    assert p["indices"]["LVEF (%)"] == 60
    assert p["out_of_range"]["RVEDV (mL)"] == {"is": "low", "range": [99, 260]}
    assert p["frames"][1]["volume_ml"]["LV"] == 48
    assert q["frames"][0]["volume_ml"]["LV"] is None


def test_segments_and_models() -> None:
    one = replace(P, by_model={"cnn": CINE.indices | {"LVEF (%)": 50.0}})
    one = replace(one, ed_wall_mm=(8.0,) * 15 + (math.nan,), es_wall_mm=(12.0,) * 16)
    header, first, *_, last = segments_csv([one, Q]).decode().splitlines()
    assert header == "patient,segment,name,ED (mm),ES (mm),thickening (%)"
    assert first == "p,1,basal anterior,8.00,12.00,50.00"
    assert last == "p,16,apical lateral,,12.00,"
    table = list(csv.DictReader(io.StringIO(by_model_csv([one, Q]).decode())))
    assert [(row["patient"], row["model"], row["LVEF (%)"]) for row in table] == [
        ("p", "this", "60.00"),
        ("p", "cnn", "50.00"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x.example";A1)',
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "＝1+1",
        "-",
        "-5\n=1+1",
        "-5.",
        "--5",
        "-o",
    ],
)
def test_no_text_is_a_formula_of_a_spreadsheet(text: str) -> None:
    table = csv_bytes([text], [["p", text]]).decode()
    assert list(csv.reader(io.StringIO(table, newline=""))) == [["'" + text], ["p", "'" + text]]


@pytest.mark.parametrize("cell", ["-12.50", "+3", "-0", -4, -1.5, "", None, "a=b", "'=1", " -"])
def test_numbers_and_other_text_are_written_unchanged(cell: object) -> None:
    (row,) = csv.reader(io.StringIO(csv_bytes(["", cell], []).decode(), newline=""))
    assert row == ["", "" if cell is None else str(cell)]


def test_names_flags_and_identifiers_are_no_formulas() -> None:
    result = replace(
        P,
        name="=1+1",
        judgement=Judgement("review", 0.8, (Flag("review", "@odd"),)),
        identifiers={"PatientName": "+Doe"},
    )
    (row,) = csv.DictReader(io.StringIO(patients_csv([result]).decode()))
    assert (row["patient"], row["flags"], row["PatientName"]) == ("'=1+1", "'@odd", "'+Doe")
