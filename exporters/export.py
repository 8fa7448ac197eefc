"""From a trained pair to files that other runtimes run, each behind the parity gate."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctct.exporters.formats import FORMATS, Observe
from ctct.exporters.parity import LIMITS, Parity, compare, segment_all
from ctct.exporters.precision import Rung, ladder
from ctct.exporters.request import ExportRequest
from ctct.exporters.trained_pair import TrainedPair

from ctct.errors import OutputError, ParityError
from ctct.inference.segmenter import Segmenter
from ctct.model_files.sidecar import sidecar_path
from ctct.runtimes.base import Runtime
from ctct.storage import prepare_folder, write_atomic

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """A precision tried for an artefact.

    Attributes:
        rung: what was tried.
        run_by: the runtime it was verified on; empty where it was not.
        parity: how near it came; None where it was not verified.
        failures: why it was not kept, in words; empty for the one that was.
    """

    rung: Rung
    run_by: str = ""
    parity: Parity | None = None
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.parity is None:
            return f"{self.rung}: not verified"
        verdict = "failed: " + "; ".join(self.failures) if self.failures else "passed"
        return f"{self.rung} on {self.run_by}: {self.parity}; {verdict}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "precision": str(self.rung),
            "run_by": self.run_by,
            "parity": self.parity.to_dict() if self.parity else None,
            "failures": list(self.failures),
        }


@dataclass(frozen=True)
class Artefact:
    """An exported file, and what was tried to make it; the last attempt is what it holds."""

    format: str
    path: Path
    attempts: tuple[Attempt, ...]


def export(
    source: str | Path,
    folder: str | Path,
    request: ExportRequest,
    observe: Observe = lambda stage: None,
) -> list[Artefact]:
    """Write ``folder/model.onnx`` and the like, each with what it is and how it was verified.

    For a pair trained with ``--heart-crop`` also ``model.heart_crop.onnx``: the graph on that grid.

    A precision that fails the gate is tried in the CNN alone, then float32 is taken; what was tried
    is in the sidecar, ``model.onnx.json`` and the like. A file is there under its name only when it
    passed.

    Args:
        source: a run folder, a file the pair can be restored from, or "default".
        folder: made where it is missing.
        request: what to export.
        observe: told what is being done.

    Raises:
        ParityError: not even float32 passes the gate.
        ModelError, InputError, OutputError, RuntimeUnavailableError: see the message.
    """
    folder = Path(folder)
    observe("reading the model")
    asked = (source, request.variant, request.verify_on, request.calibration, request.given)
    pair = TrainedPair(*asked)
    prepare_folder(folder)
    artefacts = [_export(pair, name, folder, request, observe) for name in request.formats]
    if pair.heart_crop_size:
        small = TrainedPair(*asked, heart_crop=True)
        with_heart_crop = [name for name in request.formats if FORMATS[name].heart_crop]
        artefacts += [_export(small, name, folder, request, observe) for name in with_heart_crop]
    return artefacts


def _export(
    pair: TrainedPair,
    name: str,
    folder: Path,
    request: ExportRequest,
    observe: Observe,
) -> Artefact:
    """One format, at the best precision that passes."""
    attempts: list[Attempt] = []
    form = FORMATS[name]
    for rung in ladder(request.precision, request.variant.members, form.half):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
            observe(f"{name}: writing {rung}")
            path = form.write(pair, rung, Path(scratch), request, observe)
            attempt = Attempt(rung)
            if request.verify:
                observe(f"{name}: verifying {rung}")
                attempt = verify(pair, rung, form.run(path, rung))
            attempts.append(attempt)
            if not attempt.failures:
                return Artefact(name, _keep(path, folder, name, pair, attempts), tuple(attempts))
        log.warning("%s: %s fails the gate: %s", name, rung, "; ".join(attempt.failures))
    raise ParityError(
        f"{folder}: no {name} model was written, for none says what the trained pair says "
        f"({'; '.join(attempts[-1].failures)}); look at the scans of --verify-on, or export with "
        "--no-verify to look at it"
    )


def verify(pair: TrainedPair, rung: Rung, runtime: Runtime) -> Attempt:
    """Run the studies of verification on ``runtime`` and hold them against the pair itself."""
    candidate = segment_all(
        Segmenter(pair.file, runtime), [segmentation.study for segmentation in pair.reference]
    )
    parity = compare(pair.reference, candidate)
    failures = tuple(LIMITS[rung.precision].failures(parity))
    return Attempt(rung, runtime.name, parity, failures)


def _keep(path: Path, folder: Path, name: str, pair: TrainedPair, attempts: list[Attempt]) -> Path:
    """Give a verified artefact its final name, after its sidecar and its weights if apart."""
    sidecar = sidecar_path(path)
    verification = {
        "studies": [s.study.name for s in pair.reference] if attempts[-1].parity else [],
        "attempts": [attempt.to_dict() for attempt in attempts],
    }
    if name == "engine":
        from ctct.model_files.sidecar import read_engine_record, write_engine_record

        write_engine_record(path, replace(read_engine_record(path), verification=verification))
    else:
        content = {
            "format": name,
            "model_sha256": pair.file.sha256,
            "description": {**pair.metadata, "precision": attempts[-1].rung.precision},
            "verification": verification,
        }
        write_atomic(sidecar, (json.dumps(content, indent=2) + "\n").encode())
    try:
        sidecar.replace(folder / sidecar.name)
        if name == "openvino":
            path.with_suffix(".bin").replace(folder / f"{path.stem}.bin")
        if name == "triton":  # other models of the repository are left alone
            (model,) = path.iterdir()
            path = folder / path.name / model.name
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(exist_ok=True)
            model.replace(path)
            return path.parent
        return path.replace(folder / path.name)
    except OSError as error:
        raise OutputError(f"{folder / path.name}: cannot be written ({error.strerror})") from error
