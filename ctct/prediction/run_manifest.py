"""``run.json``: how a folder of results was made, and the status of each case."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError
from ctct.storage import strict_json, write_atomic

MANIFEST = "run.json"
_REMEDY = "use --overwrite or another output folder"
DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclass
class CaseStatus:
    """Status of one case.

    Attributes:
        case: its name.
        path: the scan.
        status: "done", "skipped" (complete from an earlier run) or "failed".
        reason: why it failed.
        output: file name of the label map.
        slices: number of slices segmented.
        seconds: time by stage: ``read``, ``segment`` (its share of the batches), ``write``.
        mean_disagreement: mean over the voxels labelled as a structure, 0…1.
        flags: what reading the scan raised, and how it differs from the training scans.
        unreadable: files of the scan that are missing or cannot be read.
        scan: what the scan was when it was labelled: place, size, hashes of its times and content.
    """

    case: str
    path: str
    status: str = FAILED
    reason: str = ""
    output: str = ""
    slices: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    mean_disagreement: float | None = None
    flags: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    scan: dict[str, Any] = field(default_factory=dict)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``folder/run.json``."""
    write_atomic(folder / MANIFEST, strict_json(manifest))


def provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Versions, model and time of a run, for the report."""
    settings = manifest["settings"]
    return {
        **manifest["versions"],
        "model": f"{settings['model']} (SHA-256 {settings['model_sha256'][:12]})",
        "made": manifest["begun"],
    }


def is_damaged(folder: Path) -> bool:
    """Whether ``folder/run.json`` is there but is no JSON, as after a loss of power."""
    try:
        json.loads((folder / MANIFEST).read_text())
    except ValueError:
        return True
    except OSError:
        return False
    return False


def earlier_inputs(folder: Path) -> dict[str, str]:
    """Case to scan, for all cases in ``folder/run.json``; empty where there is none."""
    manifest = _read(folder)
    return dict(manifest["inputs"]) if manifest else {}


def _read(folder: Path) -> dict[str, Any] | None:
    """The manifest; None where there is none, or it is no manifest of ctct."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        dict(manifest["settings"]), dict(manifest["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(manifest)


def check_files_of_others(folder: Path, names: Iterable[str]) -> None:
    """Check that a run overwrites no file that ctct did not write.

    Args:
        folder: where results go.
        names: of the files that a run writes, whatever its scans.

    Raises:
        ConfigError: one of them is there, and no manifest that says that ctct wrote it.
    """
    if _read(folder) or is_damaged(folder):
        return
    if found := [name for name in (MANIFEST, *names) if (folder / name).exists()]:
        raise ConfigError(
            f"{folder}: holds {', '.join(found)} of your own, which the results would replace; "
            "choose another output folder"
        )


def check_resume(folder: Path, settings: Mapping[str, Any], complete: bool) -> dict[str, str]:
    """Check that a run may add to the label maps in ``folder``.

    Args:
        folder: of label maps, and of the manifest of the run that made them.
        settings: of the next run.
        complete: whether the next run would skip a case as complete.

    Returns:
        Case to scan, for all cases in the manifest; empty if they were made with other settings.

    Raises:
        ConfigError: a complete case was made with other settings, or there is no manifest.
    """
    manifest = _read(folder)
    if manifest is None:
        if not complete:
            return {}
        raise ConfigError(
            f"{folder}: holds label maps but no {MANIFEST} that says how they were made; {_REMEDY}"
        )
    previous = manifest["settings"]
    if complete:
        for name in sorted(previous.keys() | settings.keys()):
            if previous.get(name) != settings.get(name):
                raise another_run(folder, name, previous.get(name), settings.get(name))
    return dict(manifest["inputs"]) if previous == settings else {}


def another_run(folder: Path, what: str, before: object, now: object) -> ConfigError:
    """The error of a folder with label maps that were made otherwise, or from other scans."""
    change = f"{what}: {before!r} then, {now!r} now"
    return ConfigError(f"{folder}: holds label maps of another run ({change}); {_REMEDY}")
