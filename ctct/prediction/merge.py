"""``ctct report``: tables and report of one folder of results, or of several, at any time.

Only the records of the cases are read, so it works while a run goes on, and after one that was
killed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError, InputError
from ctct.prediction.case_record import read_record, record_names
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import (
    TABLES,
    Entry,
    Summary,
    TableOptions,
    list_entries,
    write_results,
)
from ctct.prediction.run_manifest import (
    MANIFEST,
    check_files_of_others,
    check_settings,
    provenance,
    read_manifests,
    write_manifest,
)
from ctct.storage import prepare_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Merged:
    """What ``ctct report`` found.

    Attributes:
        measured: number of cases in the tables.
        failed: name of each case that failed, to the reason.
        summary: of the patients.
    """

    measured: int
    failed: dict[str, str]
    summary: Summary


def merge_results(folders: Sequence[Path], out: Path, parquet: bool = False) -> Merged:
    """Write the tables and the report of all cases in some folders of results.

    Args:
        folders: of results, of one index or of several.
        out: where tables and report go.
        parquet: write each table as Parquet too.

    Raises:
        InputError: a folder holds no results.
        ConfigError: results were made with different settings, or two of one name are of
            different scans.
        OutputError: a file cannot be written.
        RuntimeUnavailableError: pyarrow is not installed.
    """
    manifests = [manifest for folder in folders for manifest in _manifests(folder)]
    first, *others = manifests
    for manifest in others:
        check_settings(folders[-1], first["settings"], manifest["settings"])
    _warn_of_versions(manifests)
    prepare_folder(out)
    if out not in folders:
        check_files_of_others(out, TABLES)
    entries, failed = _unique(entry for folder in folders for entry in _entries(folder))
    latest = max(manifests, key=lambda manifest: str(manifest.get("begun", "")))
    options = TableOptions.from_json(latest.get("tables", {}))
    summary = write_results(out, entries, provenance(latest), options, parquet)
    if out not in folders:
        names = ("begun", "settings", "tables", "model_description", "versions")
        kept = {name: latest[name] for name in names if name in latest}
        merged_from = [str(folder.absolute()) for folder in folders]
        write_manifest(out, {**kept, "inputs": {}, "merged_from": merged_from})
    return Merged(len(entries) - len(failed), failed, summary)


def _manifests(folder: Path) -> list[dict[str, Any]]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if found := read_manifests(folder):
        return found
    raise InputError(f"{folder}: holds no results of ctct predict (no {MANIFEST})")


def _entries(folder: Path) -> list[Entry]:
    entries = list(list_entries(folder))
    known = {entry.case for entry in entries}
    former = sum(
        output_path(folder, case).exists() for case in record_names(folder) if case not in known
    )
    if former:
        log.warning(
            "%s: %d label maps were written by an earlier version, or just now, and are left out; "
            "run ctct predict again to add them",
            folder,
            former,
        )
    return entries


def _warn_of_versions(manifests: Sequence[dict[str, Any]]) -> None:
    versions = sorted({str(manifest.get("versions", {}).get("ctct")) for manifest in manifests})
    if len(versions) > 1:
        log.warning("the label maps were made by ctct %s", ", ".join(versions))


def _unique(entries: Iterable[Entry]) -> tuple[list[Entry], dict[str, str]]:
    """The entries, each case once, and why those failed that did.

    Raises:
        ConfigError: two cases of one name are of different scans.
    """
    unique: dict[str, Entry] = {}
    failed: dict[str, str] = {}
    for entry in entries:
        record = read_record(entry.folder, entry.case)
        if record is None:
            continue
        first = unique.get(entry.case)
        if first and entry.case not in failed:
            other = read_record(first.folder, entry.case)
            is_same = not record.is_measured or (
                other and record.label_map_sha256 == other.label_map_sha256
            )
            if not is_same:
                raise ConfigError(
                    f"{first.folder} and {entry.folder} hold different results of {entry.case}; "
                    "give one of them, or remove the older one"
                )
            continue
        if record.is_measured:
            failed.pop(entry.case, None)
        else:
            failed[entry.case] = record.reason
        unique[entry.case] = entry
    return list(unique.values()), failed
