"""A model on disk: which kind of file it is and what it says of itself.

The description of an ONNX file is read straight from its protocol buffer, so that neither a runtime
nor the onnx package has to be loaded for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ctct.errors import ModelError
from ctct.models.variant import window_path

DEFAULT = "default"
_DEFAULT_FILE = "ctct-acdc.onnx"

# Field numbers of the ONNX ModelProto and its StringStringEntryProto (onnx.proto3).
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_EXTERNAL_DATA = 13
#: Which fields of a message of ONNX hold messages that may lead to a tensor.
_LEADING_TO_TENSORS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


@dataclass(frozen=True)
class ModelFile:
    """A model and its description.

    Attributes:
        path: an ``.onnx`` file, OpenVINO's ``.xml``, a TensorRT ``.engine``, or a checkpoint of a
            training run.
        description: metadata, see :mod:`ctct.inference.contract`; empty for a checkpoint.
        sha256: digest of the file, to name it in results.
        window: the same for a smaller grid around the heart, ``X.window.onnx`` beside ``X.onnx``;
            None where there is none.
    """

    path: Path
    description: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    window: ModelFile | None = None

    @property
    def is_onnx(self) -> bool:
        """Whether every runtime can run it, not just PyTorch."""
        return self.path.suffix == ".onnx"

    @property
    def is_openvino(self) -> bool:
        """Whether it is in OpenVINO's own format."""
        return self.path.suffix == ".xml"

    @property
    def is_engine(self) -> bool:
        """Whether it is a TensorRT engine, which only TensorRT can run."""
        return self.path.suffix == ".engine"


def find_model(model: str | Path = DEFAULT) -> ModelFile:
    """The bundled model, an ``.onnx``, ``.xml`` or ``.engine`` file, a run folder or a checkpoint.

    Raises:
        ModelError: there is no such file, or it is not one of ctct's.
    """
    path = default_model_path() if str(model) == DEFAULT else Path(model)
    if path.is_dir():
        path = path / "model.safetensors"
    if path.suffix not in (".onnx", ".xml", ".engine", ".safetensors"):
        raise ModelError(
            f"{path}: not a model; give an .onnx, .xml or .engine file, a folder that ctct train "
            "wrote, or 'default'"
        )
    try:
        content = path.read_bytes()
        if path.suffix == ".xml":
            content += path.with_suffix(".bin").read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"{error.filename}: no such model; train one with ctct train, or use 'default'"
        ) from error
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror})") from error
    digest = hashlib.sha256(content).hexdigest()
    if path.suffix == ".xml":
        return ModelFile(path, _sidecar_description(path), digest, _window(path))
    if path.suffix == ".engine":
        from ctct.inference.trt.sidecar import read_record

        return ModelFile(path, read_record(path).description, digest)
    if path.suffix != ".onnx":
        return ModelFile(path, {}, digest)
    try:
        description = dict(_metadata(content))
        if "grid" not in description:
            raise KeyError("grid")
        locations = sorted(set(_locations(content)))
    except (IndexError, KeyError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: not a model of ctct ({type(error).__name__}: {error}); "
            "make one with ctct export"
        ) from error
    for location in locations:
        _check_inside(path, location)
    return ModelFile(path, description, digest, _window(path))


def _window(path: Path) -> ModelFile | None:
    beside = window_path(path)
    return find_model(beside) if beside.exists() else None


def _check_inside(model: Path, location: str) -> None:
    """Refuse weights in a file that is not in the model's own folder.

    A model from elsewhere could have any file of this machine read as weights, and given out again
    as labels; runtimes have not always refused that.
    """
    folder = model.parent.resolve()
    try:
        file = (folder / location).resolve()
        inside = file.is_relative_to(folder) and file.is_file()
    except (OSError, ValueError):  # a link in a circle, a name with a zero byte
        inside = False
    if not inside:
        raise ModelError(
            f"{model}: its weights are in {location!r}, which is no file in its folder; "
            "use it only if you trust where it is from, with its weights beside it"
        )


def sidecar_path(model: Path) -> Path:
    """What describes a model that cannot describe itself, or says how it was verified."""
    return model.with_name(f"{model.name}.json")


def _sidecar_description(path: Path) -> dict[str, Any]:
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
    return dict(description)


def default_model_path() -> Path:
    """Where the bundled model lies."""
    return Path(str(resources.files("ctct.weights") / _DEFAULT_FILE))


def _metadata(content: bytes) -> Iterator[tuple[str, Any]]:
    for number, value in _fields(content):
        if number == _METADATA_PROPS:
            entry = dict(_fields(value))
            yield entry[_KEY].decode(), json.loads(entry[_VALUE])


def _locations(message: bytes, kind: str = "model") -> Iterator[str]:
    """Files outside an ONNX file in which it says that its tensors lie."""
    inner = _LEADING_TO_TENSORS.get(kind, {})
    for number, value in _fields(message):
        if number in inner:
            yield from _locations(value, inner[number])
        elif kind == "tensor" and number == _EXTERNAL_DATA:
            entry = dict(_fields(value))
            if entry.get(_KEY) == b"location":
                yield entry.get(_VALUE, b"").decode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each length-delimited field of a protocol-buffer message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == 0:
            _, at = _varint(message, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("truncated")
            yield key >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError("not a protocol buffer")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
