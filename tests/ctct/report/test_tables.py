from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

from ctct.io.write import strict_json
from ctct.measurement.flags import Flag, Judgement
from ctct.measurement.quality import FrameSigns
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, Measurements
from ctct.report.tables import frames_csv, patients_csv, patients_json


def volumes(name: str, index: int, lv_ml: float) -> FrameVolumes:
    return FrameVolumes(name, index, {"RV": 50.0, "MYO": 100.0, "LV": lv_ml})


CINE = Measurements(
    (volumes("cine", 0, 120.0), volumes("cine", 1, 48.0)), ed=0, es=1, smooth_ml=(118.0, 50.0)
)
LONE = Measurements((volumes('odd, "name"', 0, math.nan),), ed=None, es=None)

FINE, UNKNOWN = Judgement("ok", 0.2, ()), Judgement("review", math.nan, ())
JUDGED = {"p": FINE, "q": UNKNOWN}
GOOD = FrameSigns(
    missing=(),
    open_ring=0.0,
    gaps=0,
    scattered=0.0,
    swapped=False,
    cut_off=0.0,
    apex_beyond=0.0,
    dispute=0.2,
    disagreement={"RV": 0.1, "MYO": 0.2, "LV": 0.3},
    slice_disagreement=(0.1,),
    contrast=2.0,
)


def test_patients() -> None:
    woman = replace(CINE, subject=Subject("F", 180, 80))
    flagged = Judgement("review", 0.8, (Flag("review", "odd"), Flag("review", "strange")))
    judgements = {"p": FINE, "q": UNKNOWN, "w": flagged}
    text = patients_csv({"p": CINE, "q": LONE, "w": woman}, judgements).decode()
    header, cine, lone, _ = text.splitlines()
    assert header == (
        "patient,frames,ED frame,ES frame,verdict,score,LVEDV (mL),LVESV (mL),LVSV (mL),LVEF (%),"
        "RVEDV (mL),RVESV (mL),RVSV (mL),RVEF (%),LVM (g),LVM ES (g),LVSV/RVSV,BSA (m2),"
        "LVEDVi (mL/m2),LVESVi (mL/m2),LVSVi (mL/m2),RVEDVi (mL/m2),RVESVi (mL/m2),"
        "RVSVi (mL/m2),LVMi (g/m2),LVCO (L/min),LVCOi (L/min/m2),out of range,flags"
    )
    # EF = 72 / 120; mass = 100 mL x 1.05 g/mL; the RV does not move.
    numbers = "120.00,48.00,72.00,60.00,50.00,50.00,0.00,0.00,105.00,105.00,"
    assert cine == f"p,2,0,1,ok,0.20,{numbers}" + "," * 12
    assert lone == "q,1,,,review" + "," * 24
    row = list(csv.DictReader(io.StringIO(text)))[2]
    assert row["LVEDVi (mL/m2)"] == "60.00"
    assert row["out of range"] == (
        "RVEDV (mL) low; RVSV (mL) low; RVEDVi (mL/m2) low; RVSVi (mL/m2) low"
    )
    assert row["flags"] == "odd; strange"


def test_frames_with_their_phase_and_what_is_not_known_left_empty() -> None:
    signs = {("cine", 1): GOOD}
    assert frames_csv({"p": CINE, "q": LONE}, signs).decode().splitlines() == [
        "patient,case,frame,phase,RV volume (mL),MYO volume (mL),LV volume (mL),"
        '"LV volume, smooth (mL)",score,RV disagreement,MYO disagreement,LV disagreement',
        "p,cine,0,ED,50.00,100.00,120.00,118.00,,,,",
        "p,cine,1,ES,50.00,100.00,48.00,50.00,0.20,0.100,0.200,0.300",
        'q,"odd, ""name""",0,,50.00,100.00,,,,,,',
    ]


def test_json_has_everything_with_its_range() -> None:
    man = replace(CINE, subject=Subject("M", 180, 80))
    content = json.loads(strict_json(patients_json({"p": man, "q": LONE}, JUDGED)))
    p, q = content["patients"]["p"], content["patients"]["q"]
    assert "Petersen" in content["reference_ranges"]
    assert (p["verdict"], p["ed_frame"], p["es_frame"]) == ("ok", 0, 1)
    assert p["indices"]["LVEF (%)"] == 60
    assert p["out_of_range"]["RVEDV (mL)"] == {"is": "low", "range": [99, 260]}
    assert p["frames"][1]["volume_ml"]["LV"] == 48
    assert q["frames"][0]["volume_ml"]["LV"] is None
