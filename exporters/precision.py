"""Lower precision of the networks in an ONNX graph: half floats or 8-bit integers.

Only nodes of the two networks change. The sampling grids, the normalization and the softmax stay in
float32, because positions and small differences depend on them; so do layer norms inside the
networks. A node belongs to the network that its name starts with; see
:mod:`ctct.exporters.onnx_graph`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ctct.errors import RuntimeUnavailableError
from ctct.exporters.studies import SliceBatch
from ctct.installation import how_to_install
from ctct.model_files.variant import MEMBERS
from ctct.runtimes.base import INPUTS

_HALF = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}

#: Operators that sum over many values or take exponentials.
KEPT_IN_FLOAT32 = ("LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "GridSample")


@dataclass(frozen=True)
class GraphPrecision:
    """The precision of each network in a graph. What is outside of the networks is in float32.

    Attributes:
        precision: one of :data:`ctct.exporters.request.PRECISIONS`.
        members: the networks that compute in it.
        other_precision: precision of the other network.
    """

    precision: str
    members: tuple[str, ...] = MEMBERS
    other_precision: str = "fp32"

    def __str__(self) -> str:
        if self.precision == "fp32" or len(self.members) == 2:
            return self.precision
        return f"{self.precision} in the {self.members[0]}, {self.other_precision} in the other"

    @property
    def uses_bf16(self) -> bool:
        """Whether a network computes in bfloat16, which few runtimes can on a CPU."""
        return "bf16" in (self.precision, self.other_precision)


def precision_fallbacks(
    precision: str, members: tuple[str, ...] = MEMBERS, half: str = "fp16"
) -> tuple[GraphPrecision, ...]:
    """The precisions to try, in order: the requested one, the same in the CNN alone, float32.

    A lower precision harms the Transformer first: its layer norms and products span a wider range.

    Args:
        precision: the requested precision.
        members: the networks of the graph.
        half: half precision of the Transformer when only the CNN is in int8.
    """
    full = GraphPrecision("fp32", members)
    if precision == "fp32":
        return (full,)
    requested = GraphPrecision(precision, members)
    if members != MEMBERS:
        return requested, full
    other = half if precision == "int8" else "fp32"
    return requested, GraphPrecision(precision, ("cnn",), other), full


def to_half(model: onnx.ModelProto, precision: str, members: Sequence[str]) -> onnx.ModelProto:
    """A copy whose networks compute in half precision.

    The precision is in the types of the graph's tensors, which strongly typed runtimes follow.

    Args:
        model: in float32.
        precision: "fp16" or "bf16".
        members: the networks to change, "cnn" and "transformer".
    """
    half = _HALF[precision]
    model = onnx.shape_inference.infer_shapes(model)
    graph = model.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    halved: set[str] = set()  # tensors that are in half precision already
    casts: dict[tuple[str, int], str] = {}
    nodes: list[NodeProto] = []

    def cast(name: str, to: int) -> str:
        """Name of the tensor ``name`` in another type; each cast is added once."""
        if (name, to) not in casts:
            other = f"{name}.{TensorProto.DataType.Name(to).lower()}"
            casts[name, to] = other
            if name in stored and to == half:
                stored[other] = _half_tensor(stored[name], half, other)
            else:
                nodes.append(helper.make_node("Cast", [name], [other], f"{other}.cast", to=to))
        return casts[name, to]

    for node in graph.node:
        inside = _is_in_network(node, members) and node.op_type not in KEPT_IN_FLOAT32
        for i, name in enumerate(node.input):
            if inside and types.get(name) == TensorProto.FLOAT and name not in halved:
                # The region and scales of Resize are float32 by definition.
                if node.op_type != "Resize" or i == 0:
                    node.input[i] = cast(name, half)
            elif not inside and name in halved:
                node.input[i] = cast(name, TensorProto.FLOAT)
        if inside:
            halved.update(name for name in node.output if types.get(name) == TensorProto.FLOAT)
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.t.data_type == TensorProto.FLOAT:
                    attribute.t.CopyFrom(_half_tensor(attribute.t, half, attribute.t.name))
                elif node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                    attribute.i = half
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    return _replace_nodes(model, nodes, [tensor for name, tensor in stored.items() if name in used])


def to_int8(
    model: onnx.ModelProto,
    members: Sequence[str],
    calibration: Sequence[SliceBatch],
    symmetric: bool = False,
) -> onnx.ModelProto:
    """A copy whose networks compute in 8-bit integers where they can (QDQ), quantized by NNCF.

    The first and the last convolution of each network stay in float32: they read the image and
    compute the logits, where 256 steps are few, and cost little.

    Args:
        model: in float32, batch normalization folded into the convolutions.
        members: the networks to change.
        calibration: batches that show the ranges of the activations.
        symmetric: map 0 to 0 in activations too, as TensorRT requires.

    Raises:
        RuntimeUnavailableError: NNCF, or ONNX Runtime, which runs its calibration, is missing.
    """
    try:
        import onnxruntime  # noqa: F401

        with suppress_output():
            import nncf
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"--precision int8 needs {error.name}; {how_to_install('export')}"
        ) from error

    ignored = [
        node.name
        for node in model.graph.node
        if node.op_type != "Constant" and not _is_in_network(node, members)
    ]
    for member in members:
        convolutions = [
            n.name for n in model.graph.node if n.op_type == "Conv" and _is_in_network(n, [member])
        ]
        ignored += convolutions[:1] + convolutions[-1:]
    preset = nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with suppress_output():
        return nncf.quantize(
            copy,
            nncf.Dataset(calibration, lambda batch: dict(zip(INPUTS, batch, strict=True))),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=preset,
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
            subset_size=len(calibration),
        )


@contextmanager
def suppress_output() -> Iterator[None]:
    """Hide progress bars and messages of libraries on both streams, and their logs."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _is_in_network(node: NodeProto, members: Sequence[str]) -> bool:
    return node.name.split("/", 1)[0] in members


def _half_tensor(tensor: TensorProto, half: int, name: str) -> TensorProto:
    """``tensor`` in half precision, clipped to its range."""
    half_type = np.float16 if half == TensorProto.FLOAT16 else ml_dtypes.bfloat16
    largest = np.float32(ml_dtypes.finfo(half_type).max)  # type: ignore[no-untyped-call]
    values = np.asarray(numpy_helper.to_array(tensor).clip(-largest, largest))
    # from_array stores raw bytes; OpenVINO misreads bfloat16 as onnx.helper.make_tensor stores it.
    return numpy_helper.from_array(values.astype(half_type), name)


def _replace_nodes(
    model: onnx.ModelProto, nodes: Sequence[NodeProto], initializers: Sequence[TensorProto]
) -> onnx.ModelProto:
    """A copy of ``model`` with other nodes and weights, and without inferred types."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for field, content in (
        (copy.graph.node, nodes),
        (copy.graph.initializer, initializers),
        (copy.graph.value_info, ()),
    ):
        del field[:]
        field.extend(content)
    return copy
