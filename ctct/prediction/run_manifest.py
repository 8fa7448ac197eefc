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
#: The manifests of the shards of an index.
SHARD_MANIFESTS = "run-*-of-*.json"
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


def write_manifest(folder: Path, manifest: Mapping[str, Any], name: str = MANIFEST) -> None:
    """Write the manifest of a run into ``folder``."""
    write_atomic(folder / name, strict_json(manifest))


def provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Versions, model and time of a run, for the report."""
    return {
        **manifest["versions"],
        "model": name_model(manifest),
        "made": manifest["begun"],
    }


def name_model(manifest: Mapping[str, Any]) -> str:
    """The file of the model, and what tells it from others of that name."""
    settings = manifest["settings"]
    return f"{settings['model']} (SHA-256 {settings['model_sha256'][:12]})"


def is_damaged(folder: Path, name: str = MANIFEST) -> bool:
    """Whether a manifest in ``folder`` is there but is no JSON, as after a loss of power."""
    try:
        json.loads((folder / name).read_text())
    except ValueError:
        return True
    except OSError:
        return False
    return False


@dataclass(frozen=True)
class Earlier:
    """What a folder of results held before a run.

    Attributes:
        settings: how its label maps were made; None where no manifest tells.
        inputs: case to scan, as far as the manifest tells.
        is_damaged: whether there is a manifest, but no JSON, as after a loss of power.
        written: what its tables are of, and what they told of the patients; empty where a run did
            not come to its end.
    """

    settings: Mapping[str, Any] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    is_damaged: bool = False
    written: Mapping[str, Any] = field(default_factory=dict)


def read_earlier(folder: Path, name: str = MANIFEST) -> Earlier:
    """What a manifest in ``folder`` says of earlier runs."""
    manifest = _read(folder / name)
    if manifest is None:
        return Earlier(is_damaged=is_damaged(folder, name))
    written = manifest.get("written", {})
    return Earlier(dict(manifest["settings"]), dict(manifest["inputs"]), written=written)


def read_manifests(folder: Path) -> list[dict[str, Any]]:
    """The manifests of all runs and shards in ``folder``, the latest one last."""
    paths = [folder / MANIFEST, *folder.glob(SHARD_MANIFESTS)]
    found = [manifest for path in sorted(paths) if (manifest := _read(path))]
    return sorted(found, key=lambda manifest: str(manifest.get("begun", "")))


def _read(path: Path) -> dict[str, Any] | None:
    """A manifest; None where there is none, or it is no manifest of ctct."""
    try:
        manifest = json.loads(path.read_text())
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
    if read_manifests(folder) or is_damaged(folder):
        return
    if found := [name for name in (MANIFEST, *names) if (folder / name).exists()]:
        raise ConfigError(
            f"{folder}: holds {', '.join(found)} of your own, which the results would replace; "
            "choose another output folder"
        )


def check_settings(folder: Path, before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """Check that label maps that were made with some settings may be mixed with those of a run.

    Args:
        folder: of results.
        before: settings of its label maps; None where nothing tells.
        now: settings of the run.

    Raises:
        ConfigError: they differ, or are not known.
    """
    if before is None:
        raise ConfigError(
            f"{folder}: holds label maps but no {MANIFEST} that says how they were made; {_REMEDY}"
        )
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            raise another_run(folder, name, before.get(name), now.get(name))


def another_run(folder: Path, what: str, before: object, now: object) -> ConfigError:
    """The error of a folder with label maps that were made otherwise, or from other scans."""
    change = f"{what}: {before!r} then, {now!r} now"
    return ConfigError(f"{folder}: holds label maps of another run ({change}); {_REMEDY}")
