"""A model on disk: its kind of file, its description and its digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ctct.errors import ModelError
from ctct.model_files.checksums import check_sum
from ctct.model_files.former_names import current_description
from ctct.model_files.onnx_header import outside_references, read_metadata
from ctct.model_files.sidecar import read_description, read_engine_record
from ctct.model_files.variant import heart_crop_path

DEFAULT = "default"
ENDINGS = (".onnx", ".xml", ".engine", ".safetensors")
_DEFAULT_FILE = "ctct-acdc.onnx"


@dataclass(frozen=True)
class ModelFile:
    """A model and its description.

    Attributes:
        path: an ``.onnx`` file, OpenVINO's ``.xml``, a TensorRT ``.engine``, or a checkpoint of a
            training run.
        description: metadata, see :mod:`ctct.runtimes.base`; of a checkpoint at most its grid.
        sha256: digest of the file, which names it in results.
        heart_crop: the same model on the smaller grid of heart crops, ``X.heart_crop.onnx`` beside
            ``X.onnx``; None without one.
    """

    path: Path
    description: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    heart_crop: ModelFile | None = None

    @property
    def is_onnx(self) -> bool:
        """Whether it is an ONNX file, which every runtime can run."""
        return self.path.suffix == ".onnx"

    @property
    def is_engine(self) -> bool:
        """Whether it is a TensorRT engine, which only TensorRT can run."""
        return self.path.suffix == ".engine"


def find_model(model: str | Path = DEFAULT) -> ModelFile:
    """Read the bundled model, an ``.onnx``, ``.xml`` or ``.engine`` file, a run or a checkpoint.

    Raises:
        ModelError: there is no such file, or it is not one of ctct's.
    """
    return read_model(locate_model(model))


def locate_model(model: str | Path = DEFAULT) -> Path:
    """The file that ``model`` means: "default", a file, or a folder that ctct train wrote.

    Raises:
        ModelError: there is no such file, or it has another ending.
    """
    path = default_model_path() if str(model) == DEFAULT else Path(model)
    if path.is_dir():
        path = path / "model.safetensors"
    if path.suffix not in ENDINGS:
        raise ModelError(
            f"{path}: not a model; give an .onnx, .xml or .engine file, a folder that ctct train "
            "wrote, or 'default'"
        )
    if not path.exists():
        raise _missing(path)
    return path


def read_model(path: Path, heart_crop: bool = True) -> ModelFile:
    """Read the description and digest of a model file.

    Args:
        path: with one of :data:`ENDINGS`.
        heart_crop: also read the file for heart crops, if there is one.

    Raises:
        ModelError: there is no such file, or it is not one of ctct's.
    """
    content, digest = _read(path)
    if path.suffix == ".xml":
        digest = hashlib.sha256(content + _read(path.with_suffix(".bin"))[0]).hexdigest()
    if path.suffix == ".safetensors":
        return ModelFile(path, {}, digest)
    if path.suffix == ".engine":
        return ModelFile(path, read_engine_record(path).description, digest)
    description = read_description(path) if path.suffix == ".xml" else _describe_onnx(path, content)
    small = heart_crop_path(path)
    has_small = heart_crop and small.exists()
    return ModelFile(path, description, digest, read_model(small, False) if has_small else None)


def _read(path: Path) -> tuple[bytes, str]:
    """The content of a file, and its SHA-256."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(path) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    digest = hashlib.sha256(content).hexdigest()
    check_sum(path, digest)
    return content, digest


def _missing(path: Path) -> ModelError:
    return ModelError(f"{path}: no such model; train one with ctct train, or use 'default'")


def _describe_onnx(path: Path, content: bytes) -> dict[str, Any]:
    _check_onnx(path, content)
    try:
        description = current_description(dict(read_metadata(content)))
        if "grid" not in description:
            raise KeyError("grid")
    except _DAMAGES as error:
        raise _damaged(path, error) from error
    return description


def read_onnx(path: Path) -> bytes:
    """The content of an ONNX file that is complete in itself.

    Runtimes load this content and not the path, so that what they load is what was checked.

    Raises:
        ModelError: the file is missing, no ONNX file, or refers to other files.
    """
    content, _ = _read(path)
    _check_onnx(path, content)
    return content


def _check_onnx(path: Path, content: bytes) -> None:
    """Refuse a model that refers to other files.

    A malicious model could have any file of this machine read as weights and copied into its
    labels.
    """
    try:
        others = sorted(set(outside_references(content)))
    except _DAMAGES as error:
        raise _damaged(path, error) from error
    if others:
        names = ", ".join(map(repr, filter(None, others[:3]))) or "not named"
        raise ModelError(
            f"{path}: refers to other files ({names}); ctct takes models that hold all their "
            "weights; make one with ctct export"
        )


#: How reading a damaged file ends.
_DAMAGES = (IndexError, KeyError, ValueError, RecursionError)


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path}: not a model of ctct ({type(error).__name__}: {error}); make one with ctct export"
    )


def default_model_path() -> Path:
    """Path of the bundled model."""
    return Path(str(resources.files("ctct.weights") / _DEFAULT_FILE))
