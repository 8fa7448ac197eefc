"""The configuration of a model for NVIDIA's Triton Inference Server, ``config.pbtxt``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.inference.contract import INPUTS, OUTPUTS

#: Triton's backend, the file name it looks for and where instances run, for each kind of model.
KINDS = {
    "onnx": ("onnxruntime", "model.onnx", "KIND_AUTO"),
    "engine": ("tensorrt", "model.plan", "KIND_GPU"),
}

#: Sizes after the batch, which Triton leaves out; -1 is any.
DIMS = {"slices": (1, -1, -1), "spacing_mm": (2,), "labels": (-1, -1), "disagreement": (-1, -1)}

#: Triton's names of the types that tensors of the graph can have.
TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16", "uint8": "TYPE_UINT8"}


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
