"""Which files belong to one patient: a cine, or single frames named ``<patient>_frame<NN>``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ctct.io.discover import Case
from ctct.measurement.volumes import FrameVolumes, Measurements, measure_frames

_FRAME = re.compile(r"(?P<patient>.+?)[_-]frame(?P<number>\d+)", re.IGNORECASE)


def patient_of(case: Case) -> tuple[str, int | None]:
    """Patient and frame number of a case; the number is None for a cine or an unnumbered file."""
    match = _FRAME.fullmatch(case.name)
    return (match["patient"], int(match["number"])) if match else (case.name, None)


def measure_patients(
    results: Iterable[tuple[Case, list[FrameVolumes]]],
) -> dict[str, Measurements]:
    """Measurements of each patient, the frames of separate files joined by their number.

    Where an ``Info.cfg`` of the ACDC layout lies beside single frames, its ED and ES count.
    """
    grouped: dict[tuple[Path, str], list[tuple[int, Case, list[FrameVolumes]]]] = {}
    for case, frames in results:
        patient, number = patient_of(case)
        key = (case.path.parent, patient)
        grouped.setdefault(key, []).append((-1 if number is None else number, case, frames))
    measured: dict[str, Measurements] = {}
    for (folder, patient), members in grouped.items():
        members.sort(key=lambda member: member[0])
        numbers = [number for number, _, _ in members]
        phases = _phases(folder / "Info.cfg") if numbers[0] >= 0 else {}
        ed, es = (
            numbers.index(phases[name]) if phases.get(name) in numbers else None
            for name in ("ED", "ES")
        )
        frames = [frame for _, _, own in members for frame in own]
        measured[patient] = measure_frames(frames, ed, es)
    return measured


def _phases(info: Path) -> dict[str, int]:
    """ED and ES frame numbers of an ACDC ``Info.cfg``; empty where there is none."""
    try:
        text = info.read_text(errors="replace")
    except OSError:
        return {}
    return {name: int(n) for name, n in re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)", text, re.MULTILINE)}
