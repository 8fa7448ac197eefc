"""A model repository for NVIDIA's Triton Inference Server."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ctct.errors import ConfigError, ModelError, OutputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.sidecar import TENSORRT, EngineRecord, read_engine_record
from ctct.runtimes.base import INPUTS, OUTPUTS
from ctct.storage import prepare_folder

#: For each kind of model: our file suffix, Triton's backend, the file name that the backend loads,
#: and where its instances run.
KINDS = {
    "onnx": (".onnx", "onnxruntime", "model.onnx", "KIND_AUTO"),
    "engine": (".engine", "tensorrt", "model.plan", "KIND_GPU"),
}
#: Sizes of each tensor without the batch axis, which Triton leaves out; -1 is any.
DIMS = {"slices": (1, -1, -1), "spacing_mm": (2,), "labels": (-1, -1), "disagreement": (-1, -1)}
#: Triton's names of the element types.
TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16", "uint8": "TYPE_UINT8"}

_COMMENT = """\
# Axis 0 of every tensor is the batch of slices, so dims leave it out. Requests whose slices have
# the same rows and columns are joined into one batch; the graph takes one size per call.
"""


def write_triton_repository(
    folder: str | Path,
    model_path: str | Path,
    *,
    name: str = "ctct",
    kind: str = "onnx",
    max_batch: int | None = None,
    preferred_batches: Sequence[int] = (),
    queue_delay_us: int = 2000,
) -> Path:
    """Write ``folder/name/1/model.onnx`` (or ``model.plan``) and ``folder/name/config.pbtxt``.

    The folder ``name`` appears complete or not at all; other models of the repository are left
    alone.

    Args:
        folder: the repository; created if missing.
        model_path: an ``.onnx`` or ``.engine`` file, matching ``kind``.
        name: what clients call the model.
        kind: "onnx" or "engine".
        max_batch: largest number of slices per call; the engine's own if None, or 32.
        preferred_batches: batch sizes worth waiting for; the engine's usual one if empty, or 16.
        queue_delay_us: longest wait for further requests to fill a batch, in microseconds.

    Returns:
        The folder of the model.

    Raises:
        ConfigError: a setting is out of range, or Triton cannot serve the engine.
        ModelError: the file is not one of ctct's, or not of that kind.
        OutputError: nothing can be written there, or the model exists already.
        RuntimeUnavailableError: tritonclient is not installed.
    """
    folder, model = Path(folder), find_model(model_path)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"name {name!r}: give letters, digits, '_', '-' and '.' only")
    if kind not in KINDS:
        raise ConfigError(f"kind {kind}: choose one of {', '.join(KINDS)}")
    suffix, _, file_name, _ = KINDS[kind]
    if model.path.suffix != suffix:
        raise ModelError(f"{model.path}: not of kind {kind}; give an .onnx file or an .engine")
    parameters = _parameters(model)
    if kind == "engine":
        record = read_engine_record(model.path)
        _check_servable(record, model.path)
        profile, types, limit = record.profile, record.types, record.profile.batch[2]
        parameters["pixels_per_side"] = f"{profile.size[0]} to {profile.size[2]}"
    else:
        profile, types, limit = EngineProfile(), onnx_types(model.path), None
    if set(types) != set(DIMS) or not set(types.values()) <= set(TYPES):
        tensors = ", ".join(f"{tensor} ({dtype})" for tensor, dtype in types.items())
        raise ModelError(f"{model.path}: has {tensors}, not {', '.join(DIMS)}; export it again")
    if max_batch is None:
        max_batch = profile.batch[2]
    if not 1 <= max_batch <= (limit or max_batch):
        allowed = f"1 to {limit}, as the engine takes" if limit else "at least 1"
        raise ConfigError(f"--batch {max_batch}: give {allowed}")
    config = config_text(
        name=name,
        kind=kind,
        types=types,
        max_batch=max_batch,
        preferred_batches=preferred_batches or (min(profile.batch[1], max_batch),),
        queue_delay_us=queue_delay_us,
        parameters=parameters,
    )
    prepare_folder(folder)
    target = folder / name
    if target.exists():
        raise OutputError(f"{target}: exists already; remove it, or choose another folder or name")
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
            complete = Path(scratch) / name
            (complete / "1").mkdir(parents=True)
            shutil.copyfile(model.path, complete / "1" / file_name)
            (complete / "config.pbtxt").write_text(config, encoding="utf-8")
            complete.rename(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def _check_servable(record: EngineRecord, path: Path) -> None:
    if record.package != TENSORRT:
        raise ConfigError(
            f"{path}: made with {record.package}, which Triton cannot load; build it with "
            f"{TENSORRT}, or serve the .onnx file"
        )
    if record.profile.batch[0] != 1:
        raise ConfigError(
            f"{path}: takes no fewer than {record.profile.batch[0]} slices, and Triton may send "
            "one; build it with --batch 1,OPT,MAX"
        )


def _parameters(model: ModelFile) -> dict[str, str]:
    """What clients may want to know: which model it is, and what its labels mean."""
    parameters = {"sha256": model.sha256}
    for key in ("labels", "license", "precision"):
        if value := model.description.get(key):
            parameters[key] = value if isinstance(value, str) else json.dumps(value)
    return parameters


def config_text(
    *,
    name: str,
    kind: str,
    types: Mapping[str, str],
    max_batch: int,
    preferred_batches: Sequence[int],
    queue_delay_us: int,
    parameters: Mapping[str, str],
) -> str:
    """The text of ``config.pbtxt``.

    Args:
        name: what clients call the model.
        kind: a key of :data:`KINDS`.
        types: NumPy name of the element type of each input and output.
        max_batch: largest number of slices per call.
        preferred_batches: batch sizes worth waiting for.
        queue_delay_us: longest wait for further requests to fill a batch, in microseconds.
        parameters: stored in the configuration, where clients can read them.

    Raises:
        ConfigError: a preferred batch is not within 1 to ``max_batch``, or the delay is negative.
        RuntimeUnavailableError: tritonclient is not installed.
    """
    try:
        from google.protobuf import text_format
        from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelParameter
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"tritonclient: not installed; {how_to_install('export')}"
        ) from error
    if not all(1 <= batch <= max_batch for batch in preferred_batches) or queue_delay_us < 0:
        raise ConfigError(
            f"preferred batches {tuple(preferred_batches)}, delay {queue_delay_us} us: give "
            f"batches of 1 to {max_batch} and a delay of at least 0"
        )
    _, backend, file_name, instance_kind = KINDS[kind]
    config = ModelConfig(
        name=name,
        backend=backend,
        default_model_filename=file_name,
        max_batch_size=max_batch,
        input=[_tensor(name, types) for name in INPUTS],
        output=[_tensor(name, types) for name in OUTPUTS],
        dynamic_batching={
            "preferred_batch_size": sorted(set(preferred_batches)),
            "max_queue_delay_microseconds": queue_delay_us,
        },
        instance_group=[{"count": 1, "kind": instance_kind}],
        version_policy={"latest": {"num_versions": 1}},
        parameters={key: ModelParameter(string_value=text) for key, text in parameters.items()},
    )
    text: str = text_format.MessageToString(
        config, as_utf8=True, use_short_repeated_primitives=True
    )
    return _COMMENT + text


def _tensor(name: str, types: Mapping[str, str]) -> dict[str, object]:
    return {"name": name, "data_type": TYPES[types[name]], "dims": DIMS[name]}


def onnx_types(path: Path) -> dict[str, str]:
    """NumPy name of the element type of each input and output of an ONNX file.

    Raises:
        ModelError: one of them is no tensor of the fused graph, by name and size.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    types: dict[str, str] = {}
    for value in (*graph.input, *graph.output):
        tensor = value.type.tensor_type
        dims = tuple(dim.dim_value or -1 for dim in tensor.shape.dim[1:])
        if DIMS.get(value.name) != dims:
            raise ModelError(
                f"{path}: {value.name} {dims} is no tensor of the fused graph; export it again"
            )
        types[value.name] = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return types
