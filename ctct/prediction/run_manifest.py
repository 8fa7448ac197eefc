"""``run.json``: how a folder of results was made, and the status of each case."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
        unreadable: files beside the scan that seem to belong to it and cannot be read.
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


def check_resume(
    folder: Path, settings: Mapping[str, Any], complete: Mapping[str, str]
) -> dict[str, str]:
    """Check that a run may add to the label maps in ``folder``.

    Args:
        folder: of label maps, and of the manifest of the run that made them.
        settings: of the next run.
        complete: case to scan, for each case that the next run would skip as complete.

    Returns:
        Case to scan, for all cases in the manifest; empty if they were made with other settings.

    Raises:
        ConfigError: a label map of a complete case was made from another scan or with other
            settings, or there is no manifest.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        previous_settings, previous_scans = dict(manifest["settings"]), dict(manifest["inputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if not complete:
            return {}
        raise ConfigError(
            f"{folder}: holds label maps but no {MANIFEST} that says how they were made; {_REMEDY}"
        ) from error
    if complete:
        # Separately, because a scan may have the name of a setting.
        for before, now in ((previous_settings, settings), (previous_scans, complete)):
            names = now.keys() if now is complete else before.keys() | now.keys()
            for name in sorted(names):
                if before.get(name) != now.get(name):
                    change = f"{name}: {before.get(name)!r} then, {now.get(name)!r} now"
                    raise ConfigError(
                        f"{folder}: holds label maps of another run ({change}); {_REMEDY}"
                    )
    return previous_scans if previous_settings == settings else {}
