"""What a folder of results holds beside the label maps: tables of all patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ctct.inference.patients import Given, measure_patients
from ctct.inference.signs import CaseSigns, read_signs
from ctct.io.discover import Case
from ctct.io.write import strict_json, write_atomic
from ctct.measurement.flags import Judgement, judge
from ctct.measurement.quality import FrameSigns
from ctct.measurement.volumes import FrameVolumes, Measurements
from ctct.report.tables import frames_csv, patients_csv, patients_json

Signs = Mapping[tuple[str, int], FrameSigns]


def write_results(
    folder: Path, measured: Sequence[tuple[Case, list[FrameVolumes]]], given: Given
) -> None:
    """Measure and judge every patient; write measurements.csv, measurements.json and frames.csv.

    Args:
        folder: where the label maps lie, and the signs of each case.
        measured: every case that has a label map, and the volumes of its frames.
        given: what the user knows of the patients.
    """
    patients = measure_patients(measured, given)
    known = {case.name: read_signs(folder, case) for case, _ in measured}
    signs: Signs = {
        (name, index): frame
        for name, of_case in known.items()
        if of_case
        for index, frame in enumerate(of_case.frames)
    }
    judgements = {name: _judge(patient, signs, known) for name, patient in patients.items()}
    write_atomic(folder / "measurements.csv", patients_csv(patients, judgements))
    write_atomic(folder / "measurements.json", strict_json(patients_json(patients, judgements)))
    write_atomic(folder / "frames.csv", frames_csv(patients, signs))


def _judge(patient: Measurements, signs: Signs, known: Mapping[str, CaseSigns | None]) -> Judgement:
    cases = (known.get(name) for name in dict.fromkeys(frame.name for frame in patient.frames))
    # Dictionary keys, so that both files of a patient say the same only once.
    image = dict.fromkeys(flag for case in cases if case for flag in case.image)
    return judge(patient, signs, image)
