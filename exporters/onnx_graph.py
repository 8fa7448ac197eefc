"""The fused graph as one self-contained ONNX file."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from ctct.errors import ModelError
from ctct.inference.contract import INPUTS, OUTPUTS
from ctct.labels import VALUE
from ctct.models.checkpoint import load_model
from ctct.models.graph import SegmentationGraph

OPSET = 20


def export_model(
    source: str | Path, path: str | Path, training_data: str = "", licence: str = ""
) -> None:
    """Export the model of a run folder, or of a file it can be restored from, to an ONNX file.

    Args:
        source: see :func:`ctct.models.checkpoint.load_model`.
        path: the ``.onnx`` file to write.
        training_data: kept in the file.
        licence: of the weights, kept in the file.
    """
    graph, description = load_model(source)
    # Where the data lay on the training machine is nobody's business.
    config = {k: v for k, v in description.config.items() if k not in ("data", "splits")}
    metadata = {
        "ctct_version": version("ctct"),
        "labels": VALUE,
        "grid": {"size": graph.grid.size, "spacing_mm": graph.grid.spacing_mm},
        "training_data": training_data,
        "licence": licence,
        **vars(description),
        "config": config,
    }
    export_onnx(graph, path, metadata)


def export_onnx(
    graph: SegmentationGraph, path: str | Path, metadata: Mapping[str, object], half: bool = True
) -> None:
    """Write ``graph`` as an ONNX file with dynamic N, H and W.

    Args:
        graph: in evaluation mode.
        path: the file to write; it holds the weights too, and appears whole or not at all.
        metadata: kept in the file, each value as JSON; see ``ctct.inference.contract``.
        half: store the weights as float16, cast to float32 when the file is loaded. Computation
            stays in float32.

    Raises:
        ModelError: the exported file does not pass ONNX's own checks.
    """
    path = Path(path)
    slices, spacing_mm = torch.rand(2, 1, 96, 80), torch.tensor([[1.4, 1.4], [1.3, 1.5]])
    n, h, w = (torch.export.Dim(name, min=1, max=8192) for name in "NHW")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name")  # N names two axes, as it should
        program = torch.onnx.export(
            graph.eval(),
            (slices, spacing_mm),
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=({0: n, 2: h, 3: w}, {0: n}),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # keeps every weight under its own name, so the pair can be restored
            verbose=False,
        )
    if program is None:
        raise ModelError(f"{path}: torch.onnx.export gave no program")
    model: onnx.ModelProto = program.model_proto
    if half:
        _store_as_half(model)
    _strip_debugging(model)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{path}: the exported graph is not valid ONNX ({error})") from error
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        partial = Path(folder) / path.name
        partial.write_bytes(model.SerializeToString())
        partial.replace(path)


def _strip_debugging(model: onnx.ModelProto) -> None:
    """Drop torch's notes (source lines, paths of the exporting machine) from every part."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]


def _store_as_half(model: onnx.ModelProto) -> None:
    """Keep every sizeable float32 initialiser as float16, followed by a Cast of the old name.

    The initialiser is called ``<parameter>`` as before; the Cast's output, which the nodes now
    read, ``<parameter>.float32``.
    """
    casts = []
    renamed: dict[str, str] = {}
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < 64:
            continue
        values = numpy_helper.to_array(tensor)
        stored = values.astype(np.float16)
        if not np.isfinite(stored).all():
            continue
        renamed[tensor.name] = f"{tensor.name}.float32"
        tensor.CopyFrom(numpy_helper.from_array(stored, tensor.name))
        casts.append(
            onnx.helper.make_node(
                "Cast", [tensor.name], [renamed[tensor.name]], to=onnx.TensorProto.FLOAT
            )
        )
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    stale = [info for info in model.graph.value_info if info.name in renamed]
    for info in stale:
        model.graph.value_info.remove(info)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
