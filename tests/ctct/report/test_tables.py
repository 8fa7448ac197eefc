from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, Measurements
from ctct.report.tables import frames_csv, patients_csv


def volumes(name: str, index: int, lv_ml: float) -> FrameVolumes:
    return FrameVolumes(name, index, {"RV": 50.0, "MYO": 100.0, "LV": lv_ml})


CINE = Measurements((volumes("cine", 0, 120.0), volumes("cine", 1, 48.0)), ed=0, es=1)
LONE = Measurements((volumes('odd, "name"', 0, math.nan),), ed=None, es=None)


def test_patients() -> None:
    woman = replace(CINE, subject=Subject("F", 180, 80), warnings=("odd", "strange"))
    text = patients_csv({"p": CINE, "q": LONE, "w": woman}).decode()
    header, cine, lone, _ = text.splitlines()
    assert header == (
        "patient,frames,ED frame,ES frame,LVEDV (mL),LVESV (mL),LVSV (mL),LVEF (%),"
        "RVEDV (mL),RVESV (mL),RVSV (mL),RVEF (%),LVM (g),LVM ES (g),LVSV/RVSV,BSA (m2),"
        "LVEDVi (mL/m2),LVESVi (mL/m2),LVSVi (mL/m2),RVEDVi (mL/m2),RVESVi (mL/m2),"
        "RVSVi (mL/m2),LVMi (g/m2),LVCO (L/min),LVCOi (L/min/m2),out of range,warnings"
    )
    # EF = 72 / 120; mass = 100 mL x 1.05 g/mL; the RV does not move.
    numbers = "120.00,48.00,72.00,60.00,50.00,50.00,0.00,0.00,105.00,105.00,"
    assert cine == f"p,2,0,1,{numbers}" + "," * 12
    assert lone == "q,1" + "," * 25
    row = list(csv.DictReader(io.StringIO(text)))[2]
    assert row["LVEDVi (mL/m2)"] == "60.00"
    assert row["out of range"] == (
        "RVEDV (mL) low; RVSV (mL) low; RVEDVi (mL/m2) low; RVSVi (mL/m2) low"
    )
    assert row["warnings"] == "odd; strange"


def test_frames_with_their_phase_and_what_is_not_known_left_empty() -> None:
    assert frames_csv({"p": CINE, "q": LONE}).decode().splitlines() == [
        "patient,case,frame,phase,RV volume (mL),MYO volume (mL),LV volume (mL)",
        "p,cine,0,ED,50.00,100.00,120.00",
        "p,cine,1,ES,50.00,100.00,48.00",
        'q,"odd, ""name""",0,,50.00,100.00,',
    ]
