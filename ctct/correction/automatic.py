"""The automatic results of a folder: which cases it holds, and how they were made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.errors import CtctError, InputError
from ctct.prediction.case_record import CaseRecord, read_record, record_names
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import TableOptions
from ctct.prediction.run_manifest import MANIFEST, read_manifests

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AutomaticResults:
    """A folder of results of ``ctct predict``.

    Attributes:
        folder: the folder.
        cases: those that have a label map, by the paths of their scans.
        tables: what the tables of the run hold: the patients' bodies, the label order.
        about: what made the label maps.
    """

    folder: Path
    cases: tuple[Case, ...]
    tables: TableOptions
    about: Mapping[str, Any]

    @property
    def patients(self) -> dict[str, str]:
        """Name of each case to that of its patient."""
        return {case.name: case.patient for case in self.cases}


def read_automatic(folder: Path) -> AutomaticResults:
    """What a folder of results holds, by the records of its cases.

    Scans that are not where they were are known by name only: their report has no pictures.

    Raises:
        InputError: ``ctct predict`` did not write it, or it holds no label map.
    """
    latest = read_latest_manifest(folder)
    records = (read_record(folder, name) for name in record_names(folder))
    labelled = [
        record
        for record in records
        if record and record.is_measured and output_path(folder, record.case).exists()
    ]
    if not labelled:
        raise InputError(
            f"{folder}: holds no label map with a record; if an earlier version of ctct made them, "
            "run the same ctct predict again"
        )
    cases = _find_scans(
        {_place(record): _case_of(record) for record in sorted(labelled, key=lambda r: r.order)}
    )
    about = {**latest.get("versions", {}), "automatic labels": folder.name}
    tables = TableOptions.from_json(latest.get("tables", {}))
    return AutomaticResults(folder, tuple(cases), tables, about)


def read_latest_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the last run in a folder of results.

    Raises:
        InputError: ``ctct predict`` did not write it.
    """
    manifests = read_manifests(folder)
    if not manifests:
        raise InputError(
            f"{folder}: no results of ctct predict; give the folder that holds {MANIFEST}"
        )
    return manifests[-1]


def _place(record: CaseRecord) -> str:
    """The identity of the scan."""
    return record.scan.place if record.scan else record.path


def _case_of(record: CaseRecord) -> Case:
    """The case without the files of its scan."""
    return Case(
        Path(_place(record).rsplit("#", 1)[0]),
        record.case,
        patient=record.patient,
        number=record.number,
        phase=record.phase,
    )


def _find_scans(cases: Mapping[str, Case]) -> list[Case]:
    """The cases with their scans, by the identities of these; without where they are gone."""
    there = sorted({case.path for case in cases.values() if case.path.exists()})
    found: list[Case] = []
    if there:
        try:
            found, _ = discover(there)
        except CtctError as error:
            log.warning("the scans cannot be found again (%s)", error)
    scans = {scan.identity: scan for scan in found}
    if missing := [place for place in cases if place not in scans]:
        log.warning(
            "%d of %d scans are not where they were, such as %s; there are no pictures of them",
            len(missing),
            len(cases),
            missing[0],
        )
    return [
        replace(case, series=scans[place].series, slices=scans[place].slices)
        if place in scans
        else case
        for place, case in cases.items()
    ]
