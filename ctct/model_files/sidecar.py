"""What an engine says of itself, in ``<engine>.json`` beside it.

TensorRT keeps no metadata of ours in an engine, and refuses one made elsewhere with an error that
names neither side. So both are kept beside it, in a file that people can read too.
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
#: The oldest GPUs that an engine of TensorRT-RTX runs on when it was built for no target: Ampere.
OLDEST_RTX = (8, 0)


@dataclass(frozen=True)
class EngineRecord:
    """Where an engine comes from and what it is for.

    Attributes:
        engine_sha256: digest of the engine.
        model_sha256: digest of the ONNX file it was built from.
        package: "tensorrt" or "tensorrt_rtx".
        version: of that package.
        gpu: name of the GPU it was built on; empty where there was none.
        capability: compute capability of that GPU, as in (8, 9); None where there was none.
        targets: GPUs it was built for, as in ("sm80", "sm89"); empty when it was for no particular.
        precision: of the ONNX file, "fp32" unless its description says otherwise.
        profile: batches and sizes it takes.
        types: NumPy's name of the type of each input and output.
        description: the model's own, see :mod:`ctct.runtimes.base`.
        verification: what comparing it with the model gave; filled by the exporter.
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
        """A text that :meth:`from_json` reads back equal."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> EngineRecord:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: the text is damaged or holds other fields.
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
        """The GPUs it was built for, in words."""
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
    """What describes a model that cannot describe itself, or says how it was verified."""
    return model.with_name(f"{model.name}.json")


def read_description(path: Path) -> dict[str, Any]:
    """What ``<file>.json`` beside a file of another format says of the model in it."""
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
