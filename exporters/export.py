"""From a trained pair to files for other runtimes, each verified by the parity gate."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ctct.errors import OutputError, ParityError
from ctct.exporters.formats import FORMATS, ExportJob, OnStage
from ctct.exporters.parity import LIMITS, Parity, compare, segment_all
from ctct.exporters.precision import GraphPrecision, precision_fallbacks
from ctct.exporters.request import ExportRequest
from ctct.exporters.trained_pair import TrainedPair
from ctct.inference.segmenter import Segmenter
from ctct.model_files.sidecar import read_engine_record, sidecar_path, write_engine_record
from ctct.runtimes.base import Runtime
from ctct.storage import prepare_folder, write_atomic

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """An export in one precision, and its result.

    Attributes:
        precision: precision of the graph.
        runtime: name of the runtime that verified it; empty without verification.
        parity: comparison with the trained pair; None without verification.
        failures: the limits it exceeds, in words; empty for the attempt that was written.
        unloadable_in: other runtimes of the format that cannot load it, and why.
    """

    precision: GraphPrecision
    runtime: str = ""
    parity: Parity | None = None
    failures: tuple[str, ...] = ()
    unloadable_in: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.parity is None:
            return f"{self.precision}: not verified"
        verdict = "failed: " + "; ".join(self.failures) if self.failures else "passed"
        others = "".join(f"; {name} cannot load it" for name in self.unloadable_in)
        return f"{self.precision} on {self.runtime}: {self.parity}; {verdict}{others}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "precision": str(self.precision),
            "runtime": self.runtime,
            "parity": self.parity.to_dict() if self.parity else None,
            "failures": list(self.failures),
            "unloadable_in": self.unloadable_in,
        }


@dataclass(frozen=True)
class Artifact:
    """An exported model.

    Attributes:
        format: its format.
        path: file, or folder of a Triton model or MONAI bundle.
        attempts: the precisions that were tried; the model has the last one.
    """

    format: str
    path: Path
    attempts: tuple[Attempt, ...]


def export(
    source: str | Path,
    folder: str | Path,
    request: ExportRequest,
    on_stage: OnStage = lambda stage: None,
) -> list[Artifact]:
    """Write ``folder/model.onnx`` and the other formats of ``request``.

    For a pair trained with ``--heart-crop``, ``model.heart_crop.onnx`` is written too: the graph
    on that grid.

    When a precision fails the parity gate, it is tried in the CNN alone, then float32 is taken.
    All attempts are listed in the sidecar, ``model.onnx.json`` for ``model.onnx``. Only a model
    that passes the gate appears under its final name.

    Args:
        source: a run folder, a file that holds the pair's weights in float32, or "default".
        folder: output folder; created if missing.
        request: what to export.
        on_stage: called with a description of each step.

    Raises:
        ParityError: not even float32 passes the gate.
        ModelError: the pair cannot be read, or a format cannot hold it.
        InputError: a folder of scans holds none, or one that cannot be segmented.
        OutputError: a file cannot be written.
        RuntimeUnavailableError: a package that a format needs is not installed.
    """
    folder = Path(folder)
    on_stage("reading the model")
    load_pair = partial(
        TrainedPair,
        source,
        request.variant,
        request.verify_on,
        request.calibration,
        request.metadata,
    )
    pair = load_pair()
    prepare_folder(folder)
    artifacts = [_export(pair, name, folder, request, on_stage) for name in request.formats]
    if pair.heart_crop:
        pair = load_pair(heart_crop=True)
        names = [name for name in request.formats if FORMATS[name].heart_crop]
        artifacts += [_export(pair, name, folder, request, on_stage) for name in names]
    return artifacts


def _export(
    pair: TrainedPair, name: str, folder: Path, request: ExportRequest, on_stage: OnStage
) -> Artifact:
    """Write one format in the first precision that passes the gate."""
    attempts: list[Attempt] = []
    format_ = FORMATS[name]
    for precision in precision_fallbacks(request.precision, request.variant.members, format_.half):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
            on_stage(f"{name}: writing {precision}")
            path = format_.write(ExportJob(pair, precision, Path(scratch), request, on_stage))
            attempt = Attempt(precision)
            if request.verify:
                on_stage(f"{name}: verifying {precision}")
                loaded = format_.load(path)
                attempt = verify(pair, precision, loaded.runtime)
                attempt = replace(attempt, unloadable_in=loaded.unloadable_in)
            attempts.append(attempt)
            if not attempt.failures:
                for runtime in attempt.unloadable_in:
                    log.warning("%s in %s: %s cannot load it", path.name, precision, runtime)
                _write_sidecar(path, name, pair, attempts)
                return Artifact(name, _publish(path, folder, name), tuple(attempts))
        log.warning("%s: %s fails the gate: %s", name, precision, "; ".join(attempt.failures))
    raise ParityError(
        f"{folder}: no {name} model was written, because not even float32 passes the "
        f"gate ({'; '.join(attempts[-1].failures)}); look at the scans of --verify-on, or "
        "export with --no-verify to inspect the model"
    )


def verify(pair: TrainedPair, precision: GraphPrecision, runtime: Runtime) -> Attempt:
    """Segment the verification studies on ``runtime`` and compare the result with the pair's."""
    candidate = segment_all(
        Segmenter(pair.model_file, runtime), [reference.study for reference in pair.reference]
    )
    parity = compare(pair.reference, candidate)
    failures = tuple(LIMITS[precision.precision].failures(parity))
    return Attempt(precision, runtime.name, parity, failures)


def _write_sidecar(path: Path, name: str, pair: TrainedPair, attempts: list[Attempt]) -> None:
    """Describe the model at ``path``, and how it was verified, in a file next to it."""
    verification = {
        "studies": [s.study.name for s in pair.reference] if attempts[-1].parity else [],
        "attempts": [attempt.to_dict() for attempt in attempts],
    }
    if name == "engine":
        write_engine_record(path, replace(read_engine_record(path), verification=verification))
        return
    content = {
        "format": name,
        "model_sha256": pair.model_file.sha256,
        "description": {**pair.metadata, "precision": attempts[-1].precision.precision},
        "verification": verification,
    }
    write_atomic(sidecar_path(path), (json.dumps(content, indent=2) + "\n").encode())


def _publish(path: Path, folder: Path, name: str) -> Path:
    """Move a verified model into ``folder``, after its sidecar and OpenVINO's file of weights."""
    sidecar = sidecar_path(path)
    try:
        sidecar.replace(folder / sidecar.name)
        if name == "openvino":
            path.with_suffix(".bin").replace(folder / f"{path.stem}.bin")
        if name == "triton":  # other models of the repository are left alone
            (model,) = path.iterdir()
            target = folder / path.name / model.name
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            model.replace(target)
            return target.parent
        if path.is_dir():  # results in the folder of a bundle are left alone
            return Path(shutil.copytree(path, folder / path.name, dirs_exist_ok=True))
        return path.replace(folder / path.name)
    except OSError as error:
        raise OutputError(f"{folder / path.name}: cannot be written ({error.strerror})") from error
