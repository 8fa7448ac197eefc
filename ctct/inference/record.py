"""``run.json``: how a folder of results was made, and what became of each case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError
from ctct.io.write import write_atomic

RECORD = "run.json"
DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclass
class Fate:
    """What became of one case.

    Attributes:
        case: its name.
        path: the file read.
        status: "done", "skipped" (complete from an earlier run) or "failed".
        reason: why it failed.
        output: the label map written.
        slices: number of slices labelled.
        seconds: time by stage: ``read``, ``segment``, ``write``.
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


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``folder/run.json``."""
    write_atomic(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())


def check_same_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to add to label maps that were made with other settings.

    Raises:
        ConfigError: the record in ``folder`` says so, or there is none.
    """
    try:
        earlier = json.loads((folder / RECORD).read_text())["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder}: holds label maps but no {RECORD} that says how they were made; "
            "use --overwrite or another output folder"
        ) from error
    differing = [
        f"{k} {earlier.get(k)!r} and {v!r}" for k, v in settings.items() if earlier.get(k) != v
    ]
    if differing:
        raise ConfigError(
            f"{folder}: holds label maps of other settings ({'; '.join(differing)}); "
            "use --overwrite or another output folder"
        )
