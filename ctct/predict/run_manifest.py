"""``run.json``: how a folder of results was made, and what became of each case."""

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
    """What became of one case.

    Attributes:
        case: its name.
        path: the file read.
        status: "done", "skipped" (complete from an earlier run) or "failed".
        reason: why it failed.
        output: the label map written.
        slices: number of slices labelled.
        seconds: time by stage: ``read``, ``segment`` (its share of the batches), ``write``.
        mean_disagreement: mean over the voxels labelled as a structure, 0…1.
    """

    case: str
    path: str
    status: str = FAILED
    reason: str = ""
    output: str = ""
    slices: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    mean_disagreement: float | None = None


def write_manifest(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``folder/run.json``."""
    write_atomic(folder / MANIFEST, strict_json(record))


def provenance(record: Mapping[str, Any]) -> dict[str, str]:
    """Versions, model and time of a run in words, for the report."""
    settings = record["settings"]
    return {
        **record["versions"],
        "model": f"{settings['model']} (SHA-256 {settings['model_sha256'][:12]})",
        "made": record["begun"],
    }


def check_resume(
    folder: Path, settings: Mapping[str, Any], complete: Mapping[str, str]
) -> dict[str, str]:
    """Scans, by case, of the label maps in ``folder`` that were made with the same settings.

    Args:
        folder: where the label maps lie, with the record of the run that made them.
        settings: of the run to come.
        complete: the scan of each case that the run to come would take for done.

    Raises:
        ConfigError: a label map taken for done was made of another scan, in another way, or nothing
            says how.
    """
    try:
        record = json.loads((folder / MANIFEST).read_text())
        made_with, made_of = dict(record["settings"]), dict(record["inputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if not complete:
            return {}
        raise ConfigError(
            f"{folder}: holds label maps but no {MANIFEST} that says how they were made; {_REMEDY}"
        ) from error
    # Apart, not as one table: a scan may be called like a setting.
    for before, now in ((made_with, settings), (made_of, complete)) if complete else ():
        for name, value in now.items():
            if before.get(name) != value:
                change = f"{name}: {before.get(name)!r} then, {value!r} now"
                raise ConfigError(
                    f"{folder}: holds label maps of another run ({change}); {_REMEDY}"
                )
    return made_of if made_with == settings else {}
