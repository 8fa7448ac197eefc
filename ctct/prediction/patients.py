"""What is known of the patients apart from the scans: ED and ES, and their bodies."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Protocol
from unicodedata import normalize

from ctct.cases.bids import participant_of
from ctct.cases.case import Case
from ctct.errors import ConfigError, InputError
from ctct.io.patient_info import PatientInfo, phase_indices, read_patient_info
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import FrameVolumes, Measurements, measure_frames
from ctct.prediction.participants import PARTICIPANTS, read_participants

_NUMBERS = ("height_cm", "weight_kg", "heart_rate_bpm")
_COLUMNS = ("id", "sex", *_NUMBERS)
#: The id of an earlier study of the same patient; see :mod:`ctct.prediction.follow_ups`.
_EARLIER = "follow_up_of"
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}


@dataclass(frozen=True)
class Overrides:
    """What the user says of the patients.

    Attributes:
        subjects: patient to body.
        ed: number of the ED frame of every patient with several frames, from 0; None to find it.
        es: likewise for ES.
        compare: folders with the results of other models on the same scans.
        problems: patient to what could not be used of the table of subjects, one line each.
        follow_ups: names of the studies of one patient, the earliest first.

    Raises:
        ConfigError: a frame is no whole number from 0, or ED and ES are the same one.
    """

    subjects: Mapping[str, Subject] = field(default_factory=dict)
    ed: int | None = None
    es: int | None = None
    compare: tuple[Path, ...] = ()
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    follow_ups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        for phase, number in (("ED", self.ed), ("ES", self.es)):
            is_whole = isinstance(number, Integral) and not isinstance(number, bool)
            if number is not None and not (is_whole and number >= 0):
                raise ConfigError(
                    f"--{phase.lower()} {number!r}: give the number of a frame, from 0"
                )
        if self.ed is not None and self.ed == self.es:
            raise ConfigError(f"--ed {self.ed} and --es {self.es}: give two different frames")

    def subject_of(self, patient: str) -> Subject:
        """The body of a patient, or of the participant of BIDS that it is a session of."""
        own = self.subjects.get(patient)
        return own or self.subjects.get(participant_of(patient), Subject())

    def problems_of(self, patient: str) -> tuple[str, ...]:
        """What could not be used of the table, likewise."""
        own = self.problems.get(patient)
        return own or self.problems.get(participant_of(patient), ())

    def check_frames(self, frames: int, where: str) -> None:
        """Check that ED and ES are among the frames of a cine; a single frame has neither.

        Raises:
            InputError: one of them is not.
        """
        for phase, number in (("ED", self.ed), ("ES", self.es)):
            if number is not None and frames > 1 and number >= frames:
                raise InputError(
                    f"{where}: {phase} frame {number} was asked for, but there are {frames} "
                    f"frames, 0 to {frames - 1}"
                )


def read_overrides(
    cases: Iterable[Case] | None,
    table: Path | None = None,
    ed: int | None = None,
    es: int | None = None,
    compare: Sequence[Path] = (),
) -> tuple[Overrides, list[str]]:
    """What the command line says of the patients, and a line for each problem.

    Args:
        cases: the scans; None where they are not all known yet.
        table: of subjects, see :func:`read_subjects`.
        ed: number of the ED frame.
        es: number of the ES frame.
        compare: folders with results of other models.

    Raises:
        ConfigError: a folder to compare with does not exist.
        InputError: the table of subjects cannot be used.
    """
    for folder in compare:
        if not folder.is_dir():
            raise ConfigError(f"--compare {folder}: no such folder")
    if table is None:
        return Overrides({}, ed, es, tuple(compare)), []
    subjects, problems = _read_table(table)
    lines = [line for _, line in problems]
    if cases is not None and table.name != PARTICIPANTS:  # which lists all of the data set
        unknown = subjects.keys() - {case.patient for case in cases}
        lines += [f"{table}: {name} is none of the patients" for name in unknown]
    by_patient = {name: tuple(line for n, line in problems if n == name) for name, _ in problems}
    return Overrides(subjects, ed, es, tuple(compare), by_patient), lines


@dataclass(frozen=True)
class PatientContext:
    """What is known of a patient apart from the scan.

    Attributes:
        ed: number of the ED frame among the patient's frames, from 0; None to find it.
        es: likewise for ES.
        subject: the patient's body.
        warnings: what could not be used, a sentence each.
    """

    ed: int | None = None
    es: int | None = None
    subject: Subject = field(default_factory=Subject)
    warnings: tuple[str, ...] = ()

    def measure(self, frames: Sequence[FrameVolumes]) -> Measurements:
        """Measurements of the patient's frames."""
        return measure_frames(frames, self.ed, self.es, self.subject, self.warnings)


@dataclass(frozen=True)
class HeaderInfo:
    """What a scan, or a file beside it, says of the patient.

    Attributes:
        info: body, and ED and ES.
        source: "DICOM" or "Info.cfg".
    """

    info: PatientInfo = field(default_factory=PatientInfo)
    source: str = "Info.cfg"


def read_header_info(case: Case) -> HeaderInfo:
    """What the DICOM header, or an ``Info.cfg`` beside the scan, says of the patient."""
    if case.series:
        return HeaderInfo(case.series.info, "DICOM")
    return HeaderInfo(read_patient_info(case.path.parent))


class Frames(Protocol):
    """A scan, or the record of one: whose it is, and which frame."""

    @property
    def patient(self) -> str:
        """Name of the patient."""

    @property
    def number(self) -> int | None:
        """Number of the frame in the name of its file; None for any other scan."""

    @property
    def phase(self) -> str:
        """Which of "ED" and "ES" the name of the file says; "" where neither."""


def find_context(
    cases: Sequence[Case], numbers: Sequence[int], overrides: Overrides | None = None
) -> PatientContext:
    """What the user, the DICOM header or an ``Info.cfg`` beside the scans says of a patient.

    What the user says comes first, for each of ED, ES and the body.

    Args:
        cases: the patient's scans, of one folder, in the order of ``numbers``.
        numbers: of the patient's frames, from 1, as :func:`frame_numbers` gives them.
        overrides: what the user says.
    """
    headers = [read_header_info(case) for case in cases if case.series] or [
        read_header_info(cases[0])
    ]
    return join_context(cases, headers, numbers, overrides)


def join_context(
    scans: Sequence[Frames],
    headers: Sequence[HeaderInfo],
    numbers: Sequence[int],
    overrides: Overrides | None = None,
) -> PatientContext:
    """The same as :func:`find_context`, of headers that were read before.

    Args:
        scans: the patient's, in the order of ``numbers``.
        headers: what they say; the last one from DICOM counts, or else the first.
        numbers: of the patient's frames, from 1.
        overrides: what the user says.
    """
    overrides = overrides or Overrides()
    patient = scans[0].patient
    from_dicom = [header for header in headers if header.source == "DICOM"]
    header = from_dicom[-1] if from_dicom else headers[0]
    warnings = list(overrides.problems_of(patient))
    phases = dict(zip(("ED", "ES"), phase_indices(header.info, numbers), strict=True))
    if len(scans) == len(numbers):
        phases |= {scan.phase: index for index, scan in enumerate(scans) if scan.phase}
    for phase, number in (("ED", overrides.ed), ("ES", overrides.es)):
        if number is None:
            continue
        if 0 <= number < len(numbers):
            phases[phase] = number
        elif len(numbers) > 1:
            warnings.append(f"{phase} frame {number} was asked for, there are {len(numbers)}")
    subject, problems = _complete(overrides.subject_of(patient), header.info)
    warnings += [f"{header.source}: {problem}" for problem in problems]
    return PatientContext(phases["ED"], phases["ES"], subject, tuple(warnings))


def frame_numbers(case: Frames, frames: int) -> list[int]:
    """Numbers of the frames of a case, from 1: the one in the name of its file, or counted."""
    return list(range(1, frames + 1)) if case.number is None else [case.number] * frames


def _complete(subject: Subject, info: PatientInfo) -> tuple[Subject, list[str]]:
    """``subject`` with the plausible values of ``info`` for what it lacks, a line for others."""
    problems = []
    for name in _COLUMNS[1:]:
        if getattr(subject, name) is not None:
            continue
        try:
            subject = replace(subject, **{name: getattr(info, name)})
        except InputError as error:
            problems.append(str(error))
    return subject, problems


def read_subjects(path: Path) -> tuple[dict[str, Subject], list[str]]:
    """Read a CSV file with one row per patient, or ``participants.tsv`` of a BIDS data set.

    Columns are ``id`` (the patient's name in the results), ``sex`` (M or F), ``height_cm``,
    ``weight_kg`` and ``heart_rate_bpm``; all but the first may be missing or empty.

    Returns:
        Patient to body, and a line for each row that cannot be used.

    Raises:
        InputError: the file cannot be read, or has other columns.
    """
    subjects, problems = _read_table(path)
    return subjects, [line for _, line in problems]


def _read_table(path: Path) -> tuple[dict[str, Subject], list[tuple[str, str]]]:
    """Patient to body, and the id and a line for each row that cannot be used."""
    if path.suffix.lower() == ".tsv":
        return read_participants(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            header = [name.strip() for name in reader.fieldnames or ()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    if "id" not in header or set(header) - {*_COLUMNS, _EARLIER}:
        raise InputError(
            f"{path}: columns are {header}; expected {', '.join((*_COLUMNS, _EARLIER))}"
        )
    subjects: dict[str, Subject] = {}
    problems: list[tuple[str, str]] = []
    for number, row in enumerate(rows, 2):
        cells = {k.strip(): (v or "").strip() for k, v in row.items() if isinstance(k, str)}
        name = normalize("NFC", cells["id"])
        where = f"{path.name}, line {number}"
        if not name:
            problems.append((name, f"{where}: has no id"))
        elif name in subjects:
            problems.append((name, f"{where}: {name} is there twice; the first row counts"))
        else:
            try:
                subjects[name] = _subject_of_row(cells)
            except InputError as error:
                problems.append((name, f"{where}: {name}: {error}; the row is not used"))
    return subjects, problems


def _subject_of_row(cells: Mapping[str, str]) -> Subject:
    sex = cells.get("sex") or None
    values: dict[str, float | None] = {}
    for name in _NUMBERS:
        text = cells.get(name)
        try:
            values[name] = float(text) if text else None
        except ValueError as error:
            raise InputError(f"{name} is {text!r}, expected a number") from error
    return Subject(sex=_SEX.get(sex.lower(), sex) if sex else None, **values)
