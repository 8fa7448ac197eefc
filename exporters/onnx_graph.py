"""The fused graph as one self-contained ONNX file."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ctct.errors import ModelError
from ctct.model_files.variant import MEMBERS
from ctct.models.graph import SegmentationGraph
from ctct.runtimes.base import INPUTS, OUTPUTS
from ctct.storage import write_atomic

#: The lowest version that has all operators of the graph, so that older runtimes take it. Since 20,
#: modes of GridSample have other names: OpenVINO before 2026.3 refuses them, and TensorRT up to
#: 11.1 takes them as "nearest", without a word. But bfloat16 convolutions came with 22.
OPSET, OPSET_BF16 = 18, 22

#: Under which key torch stores the module that a node comes from.
_SCOPES = "pkg.torch.onnx.name_scopes"


def to_onnx(
    graph: SegmentationGraph,
    metadata: Mapping[str, object],
    fold: bool = False,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Convert ``graph`` to an ONNX model in float32 with dynamic N, H and W.

    Names of the networks' nodes start with ``cnn/`` or ``transformer/``.

    Args:
        graph: the fused graph.
        metadata: stored in the model, each value as JSON; see ``ctct.runtimes.base``.
        fold: fold batch normalization into the convolutions, as a lower precision needs it. The
            pair cannot be restored from such a model.
        opset: version of the operators.

    Raises:
        ModelError: torch cannot export the graph.
    """
    graph = fold_batch_norm(graph) if fold else graph
    outputs = [*OUTPUTS, "probabilities"] if graph.variant.probabilities else OUTPUTS
    slices, spacing_mm = torch.rand(2, 1, 96, 80), torch.tensor([[1.4, 1.4], [1.3, 1.5]])
    n, h, w = (torch.export.Dim(name, min=1, max=8192) for name in "NHW")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name")  # N names two axes on purpose
        program = torch.onnx.export(
            graph.eval(),
            (slices, spacing_mm),
            input_names=INPUTS,
            output_names=outputs,
            dynamic_shapes=({0: n, 2: h, 3: w}, {0: n}),
            opset_version=opset,
            dynamo=True,
            optimize=fold,  # loses the names of the weights
            verbose=False,
        )
    if program is None:
        raise ModelError("torch.onnx.export gave no program")
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:
        properties = {entry.key: entry.value for entry in node.metadata_props}
        scopes = json.loads(properties.get(_SCOPES, "[]").replace("'", '"'))
        if len(scopes) > 1 and scopes[1] in MEMBERS:
            node.name = f"{scopes[1]}/{node.name}"
    _strip_debug_info(model)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    return model


def save_onnx(model: onnx.ModelProto, path: str | Path, fp16_weights: bool = True) -> None:
    """Write a model with its weights into one file, atomically.

    Args:
        model: the model.
        path: the file to write.
        fp16_weights: store float32 weights as float16 to halve the file. They are cast to float32
            when the file is loaded, and computation stays in float32.

    Raises:
        ModelError: the model does not pass ONNX's checks and shape inference.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    if fp16_weights:
        model = _store_weights_in_fp16(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{path}: the exported graph is not valid ONNX ({error})") from error
    write_atomic(path, model.SerializeToString())


def fold_batch_norm(graph: SegmentationGraph) -> SegmentationGraph:
    """A copy whose convolutions include the batch normalization that follows them."""
    graph = copy.deepcopy(graph).eval()
    for block in [m for m in graph.modules() if isinstance(m, nn.Sequential)]:
        for i, (first, second) in enumerate(pairwise(block)):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[i], block[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return graph


def _strip_debug_info(model: onnx.ModelProto) -> None:
    """Remove what torch adds for debugging: source lines, paths of the exporting machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]


def _store_weights_in_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that stores each float32 initializer as float16, followed by a Cast to float32.

    The initializer keeps its name, ``<parameter>``; the nodes read the Cast's output,
    ``<parameter>.float32``. Initializers of less than 64 values, and those with values beyond the
    range of float16, stay as they are.
    """
    original, model = model, onnx.ModelProto()
    model.CopyFrom(original)
    casts = []
    renamed: dict[str, str] = {}
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < 64:
            continue
        values = numpy_helper.to_array(tensor)
        if not (np.abs(values) <= np.finfo(np.float16).max).all():
            continue
        renamed[tensor.name] = f"{tensor.name}.float32"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
        casts.append(
            onnx.helper.make_node(
                *("Cast", [tensor.name], [renamed[tensor.name]]), to=onnx.TensorProto.FLOAT
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
    return model
