"""A model repository for NVIDIA's Triton Inference Server."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ctct.exporters.triton_config import KINDS, check_config, config_text, onnx_types

from ctct.errors import ConfigError, ModelError, OutputError
from ctct.inference.model_file import ModelFile, find_model
from ctct.inference.trt.profile import EngineProfile
from ctct.inference.trt.sidecar import EngineRecord, read_record
from ctct.io.write import prepare_folder


def write_triton_repository(
    folder: str | Path,
    model_path: str | Path,
    *,
    name: str = "ctct",
    kind: str = "onnx",
    max_batch: int | None = None,
    preferred: Sequence[int] = (),
    queue_delay_us: int = 2000,
) -> Path:
    """Write ``folder/name/1/model.onnx`` (or ``model.plan``) and ``folder/name/config.pbtxt``.

    The folder ``name`` appears whole or not at all; other models of the repository are left alone.

    Args:
        folder: the repository; made where it is missing.
        model_path: an ``.onnx`` file or an ``.engine``, as ``kind`` says.
        name: what clients call the model.
        kind: "onnx" or "engine".
        max_batch: most slices a call; an engine's own when left out, or 32.
        preferred: batches worth waiting for; an engine's usual one when left out, or 16.
        queue_delay_us: longest wait for others to fill a batch, in microseconds.

    Returns:
        The folder of the model.

    Raises:
        ConfigError: the settings make no sense, or the model cannot be served that way.
        ModelError: the file is not one of ctct's, or not of that kind.
        OutputError: nothing can be written there, or the model is there already.
        RuntimeUnavailableError: the package that checks the configuration is not installed.
    """
    folder, model = Path(folder), find_model(model_path)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"name {name!r}: give letters, digits, '_', '-' and '.' only")
    if kind not in KINDS:
        raise ConfigError(f"kind {kind}: choose one of {', '.join(KINDS)}")
    if kind != {".onnx": "onnx", ".engine": "engine"}.get(model.path.suffix):
        raise ModelError(f"{model.path}: not of kind {kind}; give an .onnx file or an .engine")
    profile = EngineProfile()
    if kind == "engine":
        record = read_record(model.path)
        profile, types = _servable(record, model.path).profile, record.types
    else:
        types = onnx_types(model.path)
    most = profile.batch[2] if max_batch is None else max_batch
    if most < 1 or (kind == "engine" and most > profile.batch[2]):
        limit = (
            f"1 to {profile.batch[2]}, as the engine takes" if kind == "engine" else "at least 1"
        )
        raise ConfigError(f"--batch {most}: give {limit}")
    text = config_text(
        name=name,
        kind=kind,
        types=types,
        max_batch=most,
        preferred=preferred or (min(profile.batch[1], most),),
        queue_delay_us=queue_delay_us,
        parameters=_parameters(model, profile if kind == "engine" else None),
    )
    check_config(text, name, types)
    prepare_folder(folder)
    target = folder / name
    if target.exists():
        raise OutputError(
            f"{target}: is there already; remove it, or choose another folder or name"
        )
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as temporary:
            whole = Path(temporary) / name
            (whole / "1").mkdir(parents=True)
            shutil.copyfile(model.path, whole / "1" / KINDS[kind][1])
            (whole / "config.pbtxt").write_text(text, encoding="utf-8")
            whole.rename(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def _servable(record: EngineRecord, path: Path) -> EngineRecord:
    """The record of an engine that Triton can serve."""
    if record.package != "tensorrt":
        raise ConfigError(
            f"{path}: made with {record.package}, which Triton cannot load; build it with "
            "tensorrt, or serve the .onnx file"
        )
    if record.profile.batch[0] != 1:
        raise ConfigError(
            f"{path}: takes no fewer than {record.profile.batch[0]} slices, and Triton may send "
            "one; build it with --batch 1,OPT,MAX"
        )
    return record


def _parameters(model: ModelFile, profile: EngineProfile | None) -> dict[str, str]:
    """What clients may want to know of the model: what the labels mean, and which model it is."""
    parameters = {"sha256": model.sha256}
    for key in ("labels", "licence", "precision"):
        if model.description.get(key):
            value = model.description[key]
            parameters[key] = value if isinstance(value, str) else json.dumps(value)
    if profile is not None:
        parameters["pixels_a_side"] = f"{profile.size[0]} to {profile.size[2]}"
    return parameters
