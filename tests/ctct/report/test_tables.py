from __future__ import annotations

import math

from ctct.measurement.volumes import FrameVolumes, Measurements
from ctct.report.tables import frames_csv, patients_csv


def volumes(name: str, index: int, lv_ml: float) -> FrameVolumes:
    return FrameVolumes(name, index, {"RV": 50.0, "MYO": 100.0, "LV": lv_ml})


CINE = Measurements((volumes("cine", 0, 120.0), volumes("cine", 1, 48.0)), ed=0, es=1)
LONE = Measurements((volumes('odd, "name"', 0, math.nan),), ed=None, es=None)


def test_patients() -> None:
    header, cine, lone = patients_csv({"p": CINE, "q": LONE}).decode().splitlines()
    assert header == (
        "patient,frames,LVEDV (mL),LVESV (mL),LVSV (mL),LVEF (%),"
        "RVEDV (mL),RVESV (mL),RVSV (mL),RVEF (%),LVM (g)"
    )
    # EF = 72 / 120; mass = 100 mL x 1.05 g/mL
    assert cine == "p,2,120.00,48.00,72.00,60.00,50.00,50.00,0.00,0.00,105.00"
    assert lone == "q,1,,,,,,,,,"


def test_frames_with_their_phase_and_what_is_not_known_left_empty() -> None:
    assert frames_csv({"p": CINE, "q": LONE}).decode().splitlines() == [
        "patient,case,frame,phase,RV volume (mL),MYO volume (mL),LV volume (mL)",
        "p,cine,0,ED,50.00,100.00,120.00",
        "p,cine,1,ES,50.00,100.00,48.00",
        'q,"odd, ""name""",0,,50.00,100.00,',
    ]
