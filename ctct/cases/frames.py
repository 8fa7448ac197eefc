"""Which files are frames of one patient, as their names say."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ctct.cases.case import Case
from ctct.cases.case_names import group_by, make_valid
from ctct.io.patient_info import parse_name

log = logging.getLogger(__name__)

#: Files of which the name ends in a number after "t" are phases where the numbers are at least this
#: far apart, as times in milliseconds are, or where there are this many files. Otherwise they may
#: be visits, or T1 and T2 maps.
_MIN_STEP_MS, _MIN_TIMES = 10, 5


def join_frames(cases: Sequence[Case]) -> list[Case]:
    """The cases, those with one ``patient`` that are the frames of one.

    Frames lie in one folder, and their names differ only in the number of the frame or in ED and
    ES. Where each ventricle has frames of its own, as ``p_LVED`` and ``p_RVED``, those of one
    ventricle are joined, as ``p_LV``. A frame stays by itself, with its own name as that of the
    patient, where two files have the same number, or where another patient has that name.
    """
    cases = _split_ventricles(_find_times(cases))
    groups = group_by(cases, lambda c: (c.path.parent, c.patient, _is_frame(c) or c.name))
    taken = Counter(members[0].patient.casefold() for members in groups)
    separate: dict[str, Case] = {}
    for members in groups:
        if not _is_frame(members[0]):
            continue
        keys = {(case.number, "" if case.number is not None else case.phase) for case in members}
        is_mixed = len({case.number is None for case in members}) > 1
        if len(keys) < len(members) or is_mixed:
            reason = "a frame may be there twice"
        elif taken[members[0].patient.casefold()] > 1:
            reason = f"another scan is called {members[0].patient}"
        else:
            continue
        named = ", ".join(str(case.path) for case in members[:3])
        log.warning("%s: not joined as frames of one patient, %s", named, reason)
        separate |= {case.name: _alone(case) for case in members}
    joined = [separate.get(case.name, case) for case in cases]
    _tell(joined)
    return joined


def _is_frame(case: Case) -> bool:
    return case.number is not None or bool(case.phase)


def _alone(case: Case) -> Case:
    return replace(case, patient=case.name, number=None, phase="")


def _find_times(cases: Sequence[Case]) -> list[Case]:
    """The cases; files that are named after the times of a cycle are its frames."""
    timed = [case for case in cases if not case.series and parse_name(case.name).time is not None]
    frames: dict[str, Case] = {}
    for members in group_by(timed, lambda c: (c.path.parent, parse_name(c.name).patient)):
        times = {case.name: parse_name(case.name).time or 0 for case in members}
        ordered = sorted(times.values())
        step_ms = min((b - a for a, b in pairwise(ordered)), default=0)
        patient = make_valid(parse_name(members[0].name).patient)
        if patient and (step_ms >= _MIN_STEP_MS or (step_ms and len(members) >= _MIN_TIMES)):
            frames |= {
                case.name: replace(case, patient=patient, number=times[case.name])
                for case in members
            }
        elif len(members) > 1:
            log.warning(
                "%s and %s: taken for different scans; if they are frames of one cycle, call them "
                "_frame01, _frame02 …",
                *(case.path for case in members[:2]),
            )
    return [frames.get(case.name, case) for case in cases]


def _split_ventricles(cases: Sequence[Case]) -> list[Case]:
    """The cases; where both ventricles of a patient have frames, each is like a patient."""
    named = [case for case in cases if case.phase and parse_name(case.name).ventricle]
    split: dict[str, Case] = {}
    for members in group_by(named, lambda c: (c.path.parent, c.patient)):
        ventricles = {case.name: parse_name(case.name).ventricle for case in members}
        if len(set(ventricles.values())) > 1:
            split |= {
                case.name: replace(case, patient=f"{case.patient}_{ventricles[case.name]}")
                for case in members
            }
    return [split.get(case.name, case) for case in cases]


def _tell(cases: Sequence[Case]) -> None:
    patients = [m for m in group_by(cases, lambda case: case.patient) if len(m) > 1]
    patients = [members for members in patients if all(map(_is_frame, members))]
    if patients:
        log.info(
            "joined as frames of one patient: %s%s",
            ", ".join(case.path.name for case in patients[0]),
            f"; likewise for {len(patients) - 1} more" if len(patients) > 1 else "",
        )
