"""Which files belong to one patient: a cine, or single frames named ``<patient>_frame<NN>``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctct.errors import ConfigError, InputError
from ctct.inference.subjects import read_subjects
from ctct.io.discover import Case
from ctct.io.patient import Info, patient_and_frame, phase_numbers, read_info
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, Measurements, measure_frames


@dataclass(frozen=True)
class Given:
    """What the user gives beside the scans.

    Attributes:
        subjects: patient to body.
        ed: number of the ED frame of every patient with that many frames, from 0; None to find it.
        es: likewise for ES.
        compare: folders of results of other models on the same scans.
    """

    subjects: Mapping[str, Subject] = field(default_factory=dict)
    ed: int | None = None
    es: int | None = None
    compare: tuple[Path, ...] = ()


def given_by_user(
    cases: Iterable[Case],
    table: Path | None = None,
    ed: int | None = None,
    es: int | None = None,
    compare: Sequence[Path] = (),
) -> tuple[Given, list[str]]:
    """What the command line says of the patients, and a line for each thing that makes no sense."""
    for folder in compare:
        if not folder.is_dir():
            raise ConfigError(f"--compare {folder}: no such folder")
    if table is None:
        return Given({}, ed, es, tuple(compare)), []
    subjects, problems = read_subjects(table)
    patients = {patient_and_frame(case.name)[0] for case in cases}
    problems += [f"{table}: {name} is none of the patients" for name in subjects.keys() - patients]
    return Given(subjects, ed, es, tuple(compare)), problems


def measure_patients(
    results: Iterable[tuple[Case, list[FrameVolumes]]], given: Given | None = None
) -> dict[str, Measurements]:
    """Measurements of each patient, the frames of separate files joined by their number.

    ED and ES are those of ``given``, otherwise those of an ``Info.cfg`` of the ACDC layout beside
    the scans, otherwise those of the volume curve. The body is that of ``given``, otherwise what
    the DICOM header or ``Info.cfg`` says.
    """
    given = given or Given()
    grouped: dict[tuple[Path, str], list[tuple[int, list[FrameVolumes]]]] = {}
    headers: dict[str, Info] = {}
    for case, frames in results:
        patient, number = patient_and_frame(case.name)
        grouped.setdefault((case.path.parent, patient), []).append((number or 0, frames))
        if case.series:
            headers[patient] = case.series.info
    measured: dict[str, Measurements] = {}
    for (folder, patient), members in grouped.items():
        members.sort(key=lambda member: member[0])
        frames = [frame for _, own in members for frame in own]
        info = headers.get(patient) or read_info(folder)
        numbers = [number or frame.index + 1 for number, own in members for frame in own]
        ed, es = phase_numbers(info, numbers)
        warnings: list[str] = []
        chosen = {"ED": (given.ed, ed), "ES": (given.es, es)}
        phases = {}
        for name, (wanted, found) in chosen.items():
            beyond = wanted is not None and not 0 <= wanted < len(frames)
            phases[name] = found if wanted is None or beyond else wanted
            if beyond and len(frames) > 1:
                warnings.append(f"{name} frame {wanted} was asked for, there are {len(frames)}")
        subject = given.subjects.get(patient)
        if subject is None:
            subject, doubts = _subject(info)
            warnings += [
                f"{'DICOM' if patient in headers else 'Info.cfg'}: {doubt}" for doubt in doubts
            ]
        one = measure_frames(frames, phases["ED"], phases["ES"], subject)
        measured[patient] = replace(one, warnings=(*one.warnings, *warnings))
    return measured


def _subject(info: Info) -> tuple[Subject, list[str]]:
    """What of ``info`` is possible, and a line for each value that is not."""
    subject, doubts = Subject(), []
    for name in ("sex", "height_cm", "weight_kg", "heart_rate_bpm"):
        try:
            subject = replace(subject, **{name: getattr(info, name)})
        except InputError as error:
            doubts.append(str(error))
    return subject, doubts
