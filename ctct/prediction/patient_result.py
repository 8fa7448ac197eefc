"""The scans of one patient joined into one result: a cine, or files of single frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ctct.io.patient_info import patient_and_frame
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import judge
from ctct.prediction.case_result import CaseResult, draw_phases
from ctct.prediction.patients import PatientContext
from ctct.prediction.quality_record import join_indicators
from ctct.prediction.single_frame import SingleFrame, compare_frames


def join_cases(
    cases: Sequence[CaseResult], context: PatientContext | None = None, name: str | None = None
) -> PatientResult:
    """Measure and judge a patient; without the wall thickness and the pictures.

    Args:
        cases: the patient's scans, in the order of the cycle; those of one scan are its own result.
        context: ED and ES among the frames of all scans, and the patient's body. Not used for one
            scan, which has been measured already.
        name: of the patient; that in the name of the first scan where left out.
    """
    name = patient_and_frame(cases[0].name)[0] if name is None else name
    indicators, image = join_indicators((case.indicators, len(case.frames)) for case in cases)
    if len(cases) == 1:
        return PatientResult(name, cases[0].measurements, cases[0].judgement, indicators)
    frames = [frame for case in cases for frame in case.frames]
    measurements = (context or PatientContext()).measure(frames)
    stored = [
        SingleFrame.of(labels, voxels if case.has_image else None)
        for case in cases
        for labels, voxels in zip(case.labels, case.study.voxels, strict=True)
    ]
    image |= dict.fromkeys(compare_frames(stored, measurements, cases[0].study.spacing_mm))
    return PatientResult(name, measurements, judge(measurements, indicators, image), indicators)


def add_phases(
    result: PatientResult, cases: Sequence[CaseResult], pictures: bool = True
) -> PatientResult:
    """The result with the wall thickness at ED and ES, and with pictures of them.

    Args:
        result: of :func:`join_cases`.
        cases: the same scans.
        pictures: draw the contours and the disagreement.
    """
    by_name = {case.name: case for case in cases}
    measurements = result.measurements
    phases = measurements.phases
    walls = {}
    frames = {}
    for phase, number in (phases or {"frame": 0}).items():
        frame = measurements.frames[number]
        case = by_name[frame.name]
        if phases:
            walls[phase] = case.wall_mm(frame.index)
        if frame.name == result.name:
            caption = f"{phase} {frame.index}"
        else:
            caption = f"{phase} {frame.name}" if phases else frame.name
        frames[caption] = (case, frame.index)
    result = replace(result, ed_wall_mm=walls.get("ED", ()), es_wall_mm=walls.get("ES", ()))
    if not pictures:
        return result
    shown = {case.name: case for case, _ in frames.values()}.values()
    return replace(
        result,
        picture=draw_phases(frames),
        disagreement=tuple(filter(None, (case.disagreement_picture for case in shown))),
    )
