"""The sidecar ``<file>.json`` beside a model that cannot describe itself.

A TensorRT engine stores no metadata, and TensorRT refuses an engine of another machine with an
error that names neither side. So the sidecar describes the model and where the engine runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError, ModelError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.former_names import current_description
from ctct.storage import write_atomic

REMEDY = "build it again with ctct export"
TENSORRT, RTX = "tensorrt", "tensorrt_rtx"
#: The oldest GPUs (Ampere) that an engine of TensorRT-RTX built without targets runs on.
OLDEST_RTX = (8, 0)


@dataclass(frozen=True)
class EngineRecord:
    """Origin and purpose of an engine.

    Attributes:
        engine_sha256: digest of the engine.
        model_sha256: digest of the ONNX file it was built from.
        package: "tensorrt" or "tensorrt_rtx".
        version: of that package.
        gpu: name of the GPU it was built on; empty where there was none.
        capability: compute capability of that GPU, as in (8, 9); None where there was none.
        targets: GPUs it was built for, as in ("sm80", "sm89"); empty without targets.
        precision: of the ONNX file, "fp32" unless its description names another.
        profile: batches and slice sizes it takes.
        types: NumPy's name of the type of each input and output.
        description: of the model, see :mod:`ctct.runtimes.base`.
        verification: results of the comparison with the model; filled by the exporter.
    """

    engine_sha256: str
    model_sha256: str
    package: str
    version: str
    gpu: str
    capability: tuple[int, int] | None
    targets: tuple[str, ...]
    precision: str
    profile: EngineProfile
    types: dict[str, str]
    description: dict[str, Any] = field(default_factory=dict)
    verification: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The record as text for :meth:`from_json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> EngineRecord:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: the text is damaged or has other fields.
        """
        try:
            values = json.loads(text)
            if set(values) != {f.name for f in fields(cls)}:
                raise ValueError("its fields are not those of an engine")
            values["profile"] = EngineProfile.from_json(values["profile"])
            values["targets"] = tuple(values["targets"])
            if values["capability"] is not None:
                major, minor = values["capability"]
                values["capability"] = (int(major), int(minor))
            values["description"] = current_description(values["description"])
            return cls(**values)
        except (TypeError, AttributeError, KeyError, ConfigError) as error:
            raise ValueError(str(error)) from error

    @property
    def place(self) -> str:
        """The GPUs that it runs on, in words."""
        if self.targets:
            return ", ".join(self.targets)
        if self.package == RTX:
            return "sm{}{} or newer".format(*OLDEST_RTX)
        return f"{self.gpu} (sm{''.join(map(str, self.capability or ()))})"


def read_engine_record(engine: Path) -> EngineRecord:
    """The record of an engine, from its sidecar.

    Raises:
        ModelError: the sidecar is missing or damaged.
    """
    path = sidecar_path(engine)
    try:
        return EngineRecord.from_json(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}), and {engine.name} cannot be used without "
            f"it; keep the two together, or {REMEDY}"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path}: damaged ({error}); {REMEDY}") from error


def write_engine_record(engine: Path, record: EngineRecord) -> None:
    """Write the sidecar of an engine, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomic(sidecar_path(engine), record.to_json().encode())


def sidecar_path(model: Path) -> Path:
    """Path of the sidecar of a model."""
    return model.with_name(f"{model.name}.json")


def read_description(path: Path) -> dict[str, Any]:
    """The model's description in the sidecar of a file of another format.

    Raises:
        ModelError: the sidecar is missing or damaged.
    """
    sidecar = sidecar_path(path)
    try:
        description = json.loads(sidecar.read_bytes())["description"]
        description["grid"]
    except OSError as error:
        raise ModelError(
            f"{sidecar}: cannot be read ({error.strerror}), and {path.name} cannot be used without "
            "it; keep the two together, or make them again with ctct export"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{sidecar}: damaged ({type(error).__name__}: {error}); make it with ctct export"
        ) from error
    return current_description(description)
