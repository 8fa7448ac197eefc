"""The last line of ``ctct predict``: how the cases ended, the verdicts and the range of LVEF."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctct.cli.predict import _summary
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import Judgement
from ctct.measurement.volumes import FrameVolumes, Measurements
from ctct.prediction.results import Summary
from ctct.prediction.run_manifest import DONE, FAILED, SKIPPED, CaseStatus


def patient(verdict: str, *lv_ml: float) -> PatientResult:
    """A patient with these LV volumes, ED first and ES last."""
    frames = tuple(
        FrameVolumes("", i, {"LV": v, "RV": 80.0, "MYO": 90.0}) for i, v in enumerate(lv_ml)
    )
    ed, es = (0, len(frames) - 1) if len(frames) > 1 else (None, None)
    return PatientResult("p", Measurements(frames, ed, es), Judgement(verdict, 0.2, ()), ())


OK = patient("ok", 100, 36)  # LVEF 64 %
DOUBTFUL = patient("review", 200, 158)  # 21 %
WRONG = patient("reject", 100, 3)  # 97 %
ONE_FRAME = patient("ok", 100)
EMPTY = patient("review", 0, 0)  # LVEF is NaN


@pytest.mark.parametrize(
    ("statuses", "patients", "line"),
    [
        (
            [DONE] * 4,
            [OK, DOUBTFUL, OK, OK],
            "4 done; 4 patients: 3 ok, 1 review; LVEF 21 to 64 %",
        ),
        ([DONE, SKIPPED], [OK], "1 done, 1 skipped; 1 patient: 1 ok; LVEF 64 %"),
        (
            [DONE, FAILED],
            [OK, WRONG],
            "1 done, 1 failed; 2 patients: 1 ok, 1 reject; LVEF of those not rejected 64 %",
        ),
        ([DONE], [WRONG], "1 done; 1 patient: 1 reject"),
        ([DONE] * 2, [ONE_FRAME, EMPTY], "2 done; 2 patients: 1 ok, 1 review"),
        ([FAILED], [], "1 failed"),
    ],
)
def test_the_summary(statuses: list[str], patients: list[PatientResult], line: str) -> None:
    cases = [CaseStatus("c", "c.nii", status) for status in statuses]
    summary = Summary()
    for one in patients:
        summary.add(one)
    assert _summary(cases, summary, Path("out")) == f"{line}; results in out"
