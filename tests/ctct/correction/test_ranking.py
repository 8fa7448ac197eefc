"""Which patients are to be corrected first, and which are left out because they are."""

from __future__ import annotations

import csv
import io
import math
import shutil
from pathlib import Path

import pytest
from tests_support import GOOD_INDICATORS, write_scan

from ctct.cases.discover import discover
from ctct.correction.ranking import candidates_csv, list_next, rank_patients
from ctct.errors import InputError
from ctct.inference.segmenter import Segmenter
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import OK, REJECT, REVIEW, Flag, Judgement
from ctct.measurement.volumes import FrameVolumes, Measurements
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder


def patient(name: str, verdict: str, *flags: Flag, **dice: float) -> PatientResult:
    frames = tuple(FrameVolumes(f"{name}_{phase}", 0, {}) for phase in ("ED", "ES"))
    measurements = Measurements(frames=frames, ed=0, es=1)
    judgement = Judgement(verdict, 0.1, flags, dice)
    return PatientResult(name, measurements, judgement, (GOOD_INDICATORS,) * 2)


def test_the_gravest_verdict_comes_first_then_the_lowest_mean_dice() -> None:
    patients = [
        patient("sure", OK, RV=0.9, MYO=0.9, LV=0.9),
        patient("unsure", OK, RV=0.7, MYO=0.9, LV=0.9),
        patient("strange", REVIEW, Flag(REVIEW, "slices are odd"), RV=0.95, MYO=0.95, LV=0.95),
        patient("useless", REJECT, Flag(REJECT, "no LV"), RV=0.9, MYO=0.9),
        patient("unknown", OK),
    ]
    ranked = rank_patients(patients)
    assert [c.patient for c in ranked] == ["useless", "strange", "unknown", "unsure", "sure"]
    assert [round(c.dice, 3) for c in ranked[3:]] == [0.833, 0.9]
    assert math.isnan(ranked[2].dice)
    assert ranked[0].cases == ("useless_ED", "useless_ES")


def test_the_reason_is_the_flags_or_the_least_sure_structure() -> None:
    flags = Flag(REJECT, "no LV"), Flag(REVIEW, "slices are odd"), Flag(OK, "a single frame")
    ranked = rank_patients(
        [
            patient("flagged", REJECT, *flags, RV=0.9),
            patient("fine", OK, Flag(OK, "a single frame"), RV=0.8, LV=0.7),
            patient("unknown", OK),
        ]
    )
    assert {c.patient: c.reason for c in ranked} == {
        "flagged": "no LV; slices are odd",
        "fine": "no flag; least sure is LV, Dice of about 0.70 expected",
        "unknown": "no flag",
    }


def test_the_table() -> None:
    ranked = rank_patients([patient("P1", OK, RV=0.8), patient("P2", OK)])
    rows = list(csv.DictReader(io.StringIO(candidates_csv(ranked).decode())))
    assert [(r["rank"], r["patient"], r["predicted Dice"]) for r in rows] == [
        ("1", "P2", ""),
        ("2", "P1", "0.800"),
    ]
    assert rows[0]["cases"] == "P2_ED P2_ES"


@pytest.fixture
def results(threshold: Segmenter, tmp_path: Path) -> Path:
    for name in ("one", "two", "three"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    cases, _ = discover([tmp_path / "in"])
    options = PredictOptions(clean_up=False, report=False)
    predict_folder(cases, tmp_path / "out", threshold.model, lambda model: threshold, options)
    return tmp_path / "out"


def test_corrected_patients_are_left_out(results: Path) -> None:
    candidates, corrected = list_next(results)
    assert ({c.patient for c in candidates}, corrected) == ({"one", "two", "three"}, 0)
    (results / "edited").mkdir()
    shutil.copy(results / "one_seg.nii.gz", results / "edited")
    (results / "two_seg.nii.gz").write_bytes((results / "one_seg.nii.gz").read_bytes() + b"\0")
    candidates, corrected = list_next(results)
    assert ([c.patient for c in candidates], corrected) == (["three"], 2)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results of ctct predict; give the folder that holds"):
        list_next(tmp_path)
