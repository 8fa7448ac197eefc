from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests_support import analyze_phantom

from ctct.inference.segmentation import Segmentation
from ctct.prediction.case_result import CaseResult, analyze_case
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.prediction.patients import PatientContext


def test_frames_in_separate_files_are_one_patient() -> None:
    cases = [analyze_phantom("p_frame01"), analyze_phantom("p_frame09", 2)]
    result = join_cases(cases)
    assert result.name == "p"
    assert [frame.name for frame in result.measurements.frames] == ["p_frame01", "p_frame09"]
    assert result.measurements.indices["LVEF (%)"] == pytest.approx(60)  # 2 slices of 5
    assert len(result.indicators) == 2
    # Each file has the same flag about its field of view.
    reasons = [flag.reason for flag in result.judgement.flags]
    assert sum("field of view" in reason for reason in reasons) == 1


def test_known_phases_are_those_among_all_files() -> None:
    cases = [analyze_phantom("p_frame01"), analyze_phantom("p_frame09", 2)]
    result = join_cases(cases, PatientContext(ed=1, es=0))
    assert (result.measurements.ed, result.measurements.es) == (1, 0)


def test_a_cine_is_not_measured_again() -> None:
    cine = analyze_phantom("cine", 3, frames=4)
    result = join_cases([cine], PatientContext(ed=3))
    assert result.measurements is cine.measurements
    assert result.judgement is cine.judgement


def test_indicators_that_are_not_known_leave_their_place() -> None:
    result = join_cases(
        [analyze_phantom("p_frame01"), replace(analyze_phantom("p_frame09", 2), indicators=None)]
    )
    assert result.indicators[0] is not None
    assert result.indicators[1] is None


def test_walls_and_pictures_of_ed_and_es() -> None:
    cases = [analyze_phantom("p_frame01"), analyze_phantom("p_frame09", 4)]
    result = add_phases(join_cases(cases), cases)
    # The wall is 3 pixels of 1.5 mm thick.
    assert result.ed_wall_mm[0] == pytest.approx(4.5, abs=0.4)
    assert len(result.es_wall_mm) == 16
    assert result.picture.startswith(b"\xff\xd8")
    assert len(result.disagreement) == 2  # one per file
    plain = add_phases(join_cases(cases), cases, pictures=False)
    assert (plain.picture, plain.disagreement) == (b"", ())
    assert plain.ed_wall_mm == result.ed_wall_mm


def test_a_single_frame_has_a_picture_and_no_walls() -> None:
    for name in ("lone", "p_frame01"):
        cases = [analyze_phantom(name)]
        result = add_phases(join_cases(cases), cases)
        assert result.picture.startswith(b"\xff\xd8")
        assert (result.ed_wall_mm, result.es_wall_mm) == ((), ())


def moved(case: CaseResult, columns: int) -> CaseResult:
    """The case of another heart: the phantom at another place, and labels to match."""
    labels = np.roll(case.labels, columns, -1)
    study = replace(case.study, voxels=np.roll(case.study.voxels, columns, -1))
    return replace(case, labels=labels, study=study)


def test_files_of_two_hearts_are_told_apart_by_labels_and_by_images() -> None:
    ed, es = analyze_phantom("p_ED"), analyze_phantom("p_ES", 4)
    reasons = [flag.reason for flag in join_cases([ed, es]).judgement.flags]
    assert not any("show one heart" in reason or "heartbeat" in reason for reason in reasons)
    judgement = join_cases([ed, moved(es, 20)]).judgement
    assert judgement.verdict == "reject"
    reasons = [flag.reason for flag in judgement.flags]
    assert any("less alike than those of one heartbeat" in reason for reason in reasons)
    assert any("ED and ES hardly show one heart" in reason for reason in reasons)
    # Of an earlier run whose scan cannot be read, only the labels are left.
    without = replace(moved(es, 20), has_image=False)
    reasons = [flag.reason for flag in join_cases([ed, without]).judgement.flags]
    assert not any("heartbeat" in reason for reason in reasons)
    assert any("ED and ES hardly show one heart" in reason for reason in reasons)


def test_a_cine_of_two_hearts_is_flagged() -> None:
    one = analyze_phantom("cine", 4, frames=4)
    labels = one.labels.copy()
    labels[2:] = np.roll(labels[2:], 20, -1)
    study = one.study
    raw = Segmentation(study, labels, np.full(labels.shape, 0.1, np.float16))
    reasons = [flag.reason for flag in analyze_case(raw).judgement.flags]
    assert any("hardly show one heart" in reason for reason in reasons)
