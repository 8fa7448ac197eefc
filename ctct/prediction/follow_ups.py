"""Which studies are of one patient: named, in the table of subjects, or by their DICOM headers."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from ctct.cases.case import Case
from ctct.errors import ConfigError
from ctct.io.dicom.identifiers import read_identifiers
from ctct.measurement.follow_up import IndexChange, compare_indices
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import REJECT
from ctct.prediction.patients import Overrides

log = logging.getLogger(__name__)

#: What stands for the DICOM headers in place of names.
BY_DICOM = "dicom"
#: The column of the table of subjects that names an earlier study.
COLUMN = "follow_up_of"

Chain = tuple[str, ...]


@dataclass(frozen=True)
class FollowUp:
    """Studies of one patient, compared with the first.

    Attributes:
        studies: their names, the earliest first.
        indices: of each study.
        changes: of each later study against the first.
        doubts: what speaks against the comparison, a sentence each.
    """

    studies: Chain
    indices: tuple[Mapping[str, float], ...]
    changes: tuple[tuple[IndexChange, ...], ...]
    doubts: tuple[str, ...] = ()


def with_follow_ups(
    overrides: Overrides,
    follow_up: Sequence[str],
    cases: Sequence[Case] | None,
    table: Path | None = None,
) -> tuple[Overrides, list[str]]:
    """The overrides with the studies that belong together, and a line for each problem.

    Args:
        overrides: what the user says otherwise.
        follow_up: see :func:`find_chains`.
        cases: all scans; None where they are not all known yet.
        table: of subjects; see :func:`read_chains`.

    Raises:
        ConfigError: see :func:`find_chains`.
    """
    chains, problems = read_chains(table) if table else ((), [])
    every = dict.fromkeys((*chains, *find_chains(follow_up, cases)))
    return replace(overrides, follow_ups=tuple(every)), problems


def find_chains(follow_up: Sequence[str], cases: Sequence[Case] | None) -> tuple[Chain, ...]:
    """The studies that belong together.

    Args:
        follow_up: each either names of studies, the earliest first and commas between them, or
            "dicom" for those of one PatientID, by the date of the study.
        cases: all scans; None where they are not all known yet.

    Raises:
        ConfigError: a study is none of ``cases``, is named twice, or there is one name only; or
            headers are to be compared that are not all known.
    """
    patients = {case.patient for case in cases or ()}
    chains: list[Chain] = []
    for text in follow_up:
        if text == BY_DICOM:
            if cases is None:
                raise ConfigError(
                    f"--follow-up {text}: an index holds no PatientID; name the studies, or give "
                    f"--subjects a column {COLUMN}"
                )
            chains += _chains_by_header(cases)
            continue
        names = tuple(normalize("NFC", name.strip()) for name in text.split(","))
        if len(names) < 2 or len(set(names)) < len(names):
            raise ConfigError(f"--follow-up {text}: name two or more different studies, or dicom")
        for name in names:
            if cases is not None and name not in patients:
                shown = ", ".join(sorted(patients)[:5]) + (", …" if len(patients) > 5 else "")
                raise ConfigError(f"--follow-up {text}: {name} is none of the patients ({shown})")
        chains.append(names)
    return tuple(dict.fromkeys(chains))


def _chains_by_header(cases: Sequence[Case]) -> list[Chain]:
    """The studies of one PatientID and PatientName, by date. Neither is kept."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for case in cases:
        header = read_identifiers(case.series) if case.series else {}
        identity = header.get("patient ID", ""), header.get("patient name", "")
        date = header.get("study date", "")
        if identity[0] and date:
            found.setdefault(identity, []).append((date, case.patient))
    chains = []
    for studies in found.values():
        names = tuple(dict.fromkeys(name for _, name in sorted(studies)))
        if len({date for date, _ in studies}) > 1:
            chains.append(names)
    if not chains:
        log.warning("--follow-up dicom: no PatientID has studies of two dates")
    return chains


def read_chains(table: Path) -> tuple[tuple[Chain, ...], list[str]]:
    """The studies that a table of subjects links, and a line for each link that cannot be used.

    The column ``follow_up_of`` holds the id of an earlier study of the same patient. The table is
    one that :func:`ctct.prediction.patients.read_subjects` can read.
    """
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = [{(k or "").strip(): v for k, v in row.items()} for row in csv.DictReader(file)]
    cells = [(str(row.get("id") or ""), str(row.get(COLUMN) or "")) for row in rows]
    links = [tuple(normalize("NFC", cell.strip()) for cell in pair) for pair in cells]
    known = {study for study, _ in links}
    earlier: dict[str, str] = {}
    problems = []
    for study, before in links:
        if before and before not in known:
            problems.append(f"{table}: {study} follows {before}, which is none of its ids")
        elif before:
            earlier[study] = before
    return _join_links(table, earlier, problems), problems


def _join_links(table: Path, earlier: Mapping[str, str], problems: list[str]) -> tuple[Chain, ...]:
    """From each study that none follows back to the first."""
    chains = []
    for study in earlier:
        if study in earlier.values() and earlier[study] != study:
            continue
        chain = [study]
        while (before := earlier.get(chain[-1])) and before not in chain:
            chain.append(before)
        if before:
            problems.append(f"{table}: {study} follows itself")
        else:
            chains.append(tuple(reversed(chain)))
    followed = {name for chain in chains for name in chain}
    problems += [
        f"{table}: {study} follows itself"
        for study in earlier
        if study not in followed and f"{table}: {study} follows itself" not in problems
    ]
    return tuple(chains)


def compare_studies(
    chains: Iterable[Chain], results: Sequence[PatientResult]
) -> tuple[FollowUp, ...]:
    """Each chain of studies, compared with its first; those of which two were measured."""
    by_name = {result.name: result for result in results}
    follow_ups = []
    for chain in chains:
        studies = [by_name[n] for n in chain if n in by_name and by_name[n].measurements.indices]
        if lost := [name for name in chain if name not in {study.name for study in studies}]:
            log.warning("follow-up of %s: has no ED and ES, left out", ", ".join(lost))
        if len(studies) < 2:
            continue
        indices = tuple(study.measurements.indices for study in studies)
        follow_ups.append(
            FollowUp(
                tuple(study.name for study in studies),
                indices,
                tuple(compare_indices(indices[0], later) for later in indices[1:]),
                tuple(_doubts(studies)),
            )
        )
    return tuple(follow_ups)


def _doubts(studies: Sequence[PatientResult]) -> list[str]:
    said = [
        f"the verdict on {study.name} is {study.judgement.verdict}"
        for study in studies
        if study.judgement.verdict == REJECT
    ]
    said += [
        f"{study.name} was edited by hand, and the noise is that of the networks"
        for study in studies
        if study.remarks.get("edited")
    ]
    return said
