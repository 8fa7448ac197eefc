"""A model repository for NVIDIA's Triton Inference Server."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError, ModelError, OutputError, RuntimeUnavailableError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.sidecar import EngineRecord, read_engine_record
from ctct.runtimes.base import INPUTS, OUTPUTS
from ctct.storage import prepare_folder

#: Triton's backend, the file name it looks for and where instances run, for each kind of model.
KINDS = {
    "onnx": ("onnxruntime", "model.onnx", "KIND_AUTO"),
    "engine": ("tensorrt", "model.plan", "KIND_GPU"),
}
#: Sizes after the batch, which Triton leaves out; -1 is any.
DIMS = {"slices": (1, -1, -1), "spacing_mm": (2,), "labels": (-1, -1), "disagreement": (-1, -1)}
#: Triton's names of the types that tensors of the graph can have.
TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16", "uint8": "TYPE_UINT8"}


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
        record = read_engine_record(model.path)
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
    for key in ("labels", "license", "precision"):
        if model.description.get(key):
            value = model.description[key]
            parameters[key] = value if isinstance(value, str) else json.dumps(value)
    if profile is not None:
        parameters["pixels_a_side"] = f"{profile.size[0]} to {profile.size[2]}"
    return parameters


def config_text(
    *,
    name: str,
    kind: str,
    types: Mapping[str, str],
    max_batch: int,
    preferred: Sequence[int],
    queue_delay_us: int,
    parameters: Mapping[str, str],
) -> str:
    """The text of ``config.pbtxt``.

    Args:
        name: what clients call the model.
        kind: a key of :data:`KINDS`.
        types: NumPy's name of the type of each input and output.
        max_batch: most slices a call.
        preferred: batches worth waiting for.
        queue_delay_us: longest wait for others to fill a batch, in microseconds.
        parameters: kept in the configuration, where clients can ask for them.

    Raises:
        ConfigError: the preferred batches are not within 1 to ``max_batch``.
    """
    if not all(1 <= batch <= max_batch for batch in preferred) or queue_delay_us < 0:
        raise ConfigError(
            f"preferred batches {tuple(preferred)}, delay {queue_delay_us} us: give batches of 1 "
            f"to {max_batch} and a delay of at least 0"
        )
    backend, file_name, place = KINDS[kind]
    batches = ", ".join(map(str, sorted(set(preferred))))
    lines = [
        f"name: {json.dumps(name)}",
        f'backend: "{backend}"',
        f'default_model_filename: "{file_name}"',
        "# Axis 0 of every tensor is the batch of slices, so dims leave it out.",
        f"max_batch_size: {max_batch}",
        *_tensors("input", INPUTS, types),
        *_tensors("output", OUTPUTS, types),
        "# Requests whose slices have equal rows and columns are joined into one batch. Others run",
        "# on their own: no allow_ragged_batch here, because the graph takes one size a call.",
        "dynamic_batching {",
        f"  preferred_batch_size: [ {batches} ]",
        f"  max_queue_delay_microseconds: {queue_delay_us}",
        "}",
        f"instance_group [ {{ count: 1, kind: {place} }} ]",
        "version_policy { latest { num_versions: 1 } }",
    ]
    for key, value in parameters.items():
        # A JSON string is a text-format string too: both escape quotes and backslashes alike, and
        # beyond ASCII the text format takes UTF-8 as it is.
        quoted = json.dumps(value, ensure_ascii=False)
        lines.append(f'parameters {{ key: "{key}" value {{ string_value: {quoted} }} }}')
    return "\n".join(lines) + "\n"


def check_config(text: str, name: str, types: Mapping[str, str]) -> Any:
    """Read ``config.pbtxt`` as Triton does and compare it with the graph.

    Args:
        text: of the file.
        name: of the model's folder.
        types: NumPy's name of the type of each input and output of the model.

    Returns:
        The ``ModelConfig`` message.

    Raises:
        ConfigError: Triton would not read it, or it names other tensors than the model has.
        RuntimeUnavailableError: tritonclient is not installed.
    """
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise RuntimeUnavailableError(
            "tritonclient: not installed; pip install 'ctct[export]'"
        ) from error
    try:
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ConfigError(f"config.pbtxt of {name}: Triton cannot read it ({error})") from error
    names = model_config_pb2.DataType.Name
    described = {
        tensor.name: (names(tensor.data_type), tuple(tensor.dims))
        for tensor in (*config.input, *config.output)
    }
    expected = {tensor: (TYPES[kind], DIMS[tensor]) for tensor, kind in types.items()}
    if config.name != name or described != expected:
        raise ConfigError(
            f"config.pbtxt of {name}: names {config.name} with {described}, "
            f"the model has {expected}"
        )
    return config


def onnx_types(path: Path) -> dict[str, str]:
    """NumPy's name of the type of each input and output of an ONNX file.

    Raises:
        ModelError: its inputs and outputs are not those of the fused graph, by name and by size.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    types: dict[str, str] = {}
    for value in (*graph.input, *graph.output):
        tensor = value.type.tensor_type
        dims = tuple(dim.dim_value or -1 for dim in tensor.shape.dim[1:])
        if DIMS.get(value.name) != dims:
            raise ModelError(
                f"{path}: {value.name} {dims} is not of the fused graph; export it anew"
            )
        types[value.name] = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if set(types) != set(DIMS):
        raise ModelError(f"{path}: has {', '.join(types)}, not {', '.join(DIMS)}; export it anew")
    return types


def _tensors(field: str, names: Sequence[str], types: Mapping[str, str]) -> list[str]:
    entries = [
        f"  {{ name: {json.dumps(name)}, data_type: {TYPES[types[name]]}, "
        f"dims: [ {', '.join(map(str, DIMS[name]))} ] }}"
        for name in names
    ]
    return [f"{field} [", ",\n".join(entries), "]"]
