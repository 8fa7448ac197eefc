"""From a trained pair to files that other runtimes run, each behind the parity gate."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctct.exporters.onnx_graph import save_onnx
from ctct.exporters.openvino_model import write_openvino
from ctct.exporters.parity import LIMITS, Parity, compare, segment_all
from ctct.exporters.precision import PRECISIONS, Rung, ladder
from ctct.exporters.source import Source

from ctct.errors import ConfigError, OutputError, ParityError
from ctct.inference.contract import Runtime
from ctct.inference.segmenter import Segmenter
from ctct.io.write import prepare_folder, write_atomic
from ctct.models.graph import Variant

log = logging.getLogger(__name__)

FORMATS = ("onnx", "openvino")
#: What every artefact is called, up to its ending.
STEM = "model"


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        formats: of :data:`FORMATS`.
        precision: wished for, of :data:`~ctct.exporters.precision.PRECISIONS`.
        variant: of the graph.
        verify: whether to hold each artefact against the pair in PyTorch, in float32.
        verify_on: folder of scans for that; None for synthetic cines.
        calibration: folder of scans for int8, likewise.
        given: entries of the metadata that replace the source's own: training_data, licence.
    """

    formats: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    variant: Variant = field(default_factory=Variant)
    verify: bool = True
    verify_on: Path | None = None
    calibration: Path | None = None
    given: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.formats or any(name not in FORMATS for name in self.formats):
            raise ConfigError(
                f"--format must be one or more of {', '.join(FORMATS)}; got "
                f"{','.join(self.formats)!r}"
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"--precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )


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
    observe: Callable[[str], None] = lambda stage: None,
) -> list[Artefact]:
    """Write ``folder/model.onnx`` and the like, each with what it is and how it was verified.

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
    pair = Source(source, request.variant, request.verify_on, request.calibration, request.given)
    prepare_folder(folder)
    return [_export(pair, name, folder, request, observe) for name in request.formats]


def _export(
    pair: Source,
    name: str,
    folder: Path,
    request: ExportRequest,
    observe: Callable[[str], None],
) -> Artefact:
    """One format, at the best precision that passes."""
    attempts: list[Attempt] = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        for rung in ladder(request.precision, request.variant.members):
            observe(f"{name}: writing {rung}")
            path = _WRITERS[name](pair, rung, Path(scratch))
            attempt = Attempt(rung)
            if request.verify:
                observe(f"{name}: verifying {rung}")
                attempt = verify(pair, rung, _RUNNERS[name](path, rung))
            attempts.append(attempt)
            if not attempt.failures:
                final = _move(path, folder)
                _write_sidecar(final, name, pair, attempts)
                return Artefact(name, final, tuple(attempts))
            log.warning("%s: %s fails the gate: %s", name, rung, "; ".join(attempt.failures))
    raise ParityError(
        f"{folder}: no {name} model was written, for none says what the trained pair says "
        f"({'; '.join(attempts[-1].failures)}); look at the scans of --verify-on, or export with "
        "--no-verify to look at it"
    )


def verify(pair: Source, rung: Rung, runtime: Runtime) -> Attempt:
    """Run the studies of verification on ``runtime`` and hold them against the pair itself."""
    candidate = segment_all(
        Segmenter(pair.file, runtime), [segmentation.study for segmentation in pair.reference]
    )
    parity = compare(pair.reference, candidate)
    failures = tuple(LIMITS[rung.precision].failures(parity))
    return Attempt(rung, runtime.name, parity, failures)


def _write_onnx(pair: Source, rung: Rung, folder: Path) -> Path:
    path = folder / f"{STEM}.onnx"
    save_onnx(pair.model(rung), path, store_half=rung.precision == "fp32")
    return path


def _run_onnx(path: Path, rung: Rung) -> Runtime:
    # ONNX Runtime has no bfloat16 convolution for the CPU.
    if rung.precision != "bf16" and importlib.util.find_spec("onnxruntime"):
        from ctct.inference.runtimes.onnx_runtime import OnnxRuntime

        return OnnxRuntime(path)
    return _run_openvino(path, rung)


def _write_openvino(pair: Source, rung: Rung, folder: Path) -> Path:
    path = folder / f"{STEM}.xml"
    write_openvino(_write_onnx(pair, rung, folder), path)
    return path


def _run_openvino(path: Path, rung: Rung) -> Runtime:
    from ctct.inference.runtimes.openvino_cpu import OpenVinoRuntime

    return OpenVinoRuntime(path)


#: How each format is written into a folder, and what runs it to verify it.
_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino}
_RUNNERS = {"onnx": _run_onnx, "openvino": _run_openvino}


def _move(path: Path, folder: Path) -> Path:
    """Give a verified artefact its final name; its weights, if they are apart, come first."""
    try:
        if path.suffix == ".xml":
            path.with_suffix(".bin").replace(folder / f"{STEM}.bin")
        return path.replace(folder / path.name)
    except OSError as error:
        raise OutputError(f"{folder / path.name}: cannot be written ({error.strerror})") from error


def _write_sidecar(path: Path, name: str, pair: Source, attempts: list[Attempt]) -> None:
    kept = attempts[-1]
    content = {
        "format": name,
        "precision": str(kept.rung),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "model_sha256": pair.file.sha256,
        "description": {**pair.metadata, "precision": kept.rung.precision},
        "verification": {
            "studies": [s.study.name for s in pair.reference] if kept.parity else [],
            "attempts": [attempt.to_dict() for attempt in attempts],
        },
    }
    write_atomic(
        path.with_name(f"{path.name}.json"), (json.dumps(content, indent=2) + "\n").encode()
    )
