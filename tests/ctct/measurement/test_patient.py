"""Which reference ranges apply to a patient."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctct.measurement.papillary import papillary_remark
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import Judgement
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, Measurements

FRAMES = tuple(
    FrameVolumes("p", n, {"RV": 100.0, "MYO": 90.0, "LV": ml}) for n, ml in ((0, 150.0), (1, 60.0))
)
PATIENT = PatientResult(
    "p",
    Measurements(FRAMES, 0, 1, subject=Subject("F", 165, 62)),
    Judgement("ok", 0.1, ()),
    (None, None),
)


@pytest.mark.parametrize(
    ("papillary", "sex"), [("labels", "F"), ("cavity", "F"), ("myocardium", None)]
)
def test_ranges_hold_for_muscles_counted_with_the_cavity(papillary: str, sex: str | None) -> None:
    patient = replace(PATIENT, remarks=papillary_remark(papillary))
    assert patient.range_sex == sex
