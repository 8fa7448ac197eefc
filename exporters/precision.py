"""Lower precision inside an ONNX graph: half floats, or 8-bit integers where the networks compute.

Only nodes of the two networks change. The sampling grids, the normalization and the softmax decide
positions and small differences, and stay in float32, as do layer norms inside the networks.
A node belongs to the network that its name starts with; see :mod:`ctct.exporters.onnx_graph`.
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
from ctct.exporters.studies import Inputs
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ctct.errors import RuntimeUnavailableError
from ctct.model_files.variant import MEMBERS
from ctct.runtimes.base import INPUTS

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
_HALF = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}

#: Operations of the networks that sum over many values or take exponentials.
KEPT_IN_FLOAT32 = ("LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "GridSample")


@dataclass(frozen=True)
class Rung:
    """A precision, and the networks that compute in it.

    Attributes:
        precision: one of :data:`PRECISIONS`.
        members: the networks that compute in it.
        rest: in what the other network computes. All else is in float32.
    """

    precision: str
    members: tuple[str, ...] = MEMBERS
    rest: str = "fp32"

    def __str__(self) -> str:
        if self.precision == "fp32" or len(self.members) == 2:
            return self.precision
        return f"{self.precision} in the {self.members[0]}, {self.rest} in the other"

    @property
    def has_bf16(self) -> bool:
        """Whether any part computes in bfloat16, which few runtimes can on a CPU."""
        return "bf16" in (self.precision, self.rest)


def ladder(
    precision: str, members: tuple[str, ...] = MEMBERS, half: str = "fp16"
) -> tuple[Rung, ...]:
    """What to try, in order: the precision asked for, the same in the CNN alone, float32.

    The Transformer is the first to suffer: its layer norms and products span a wider range.

    Args:
        precision: asked for.
        members: the networks of the graph.
        half: in what the Transformer computes beside a CNN in int8.
    """
    if precision == "fp32":
        return (Rung("fp32", members),)
    rest = half if precision == "int8" else "fp32"
    mixed = (Rung(precision, ("cnn",), rest),) if members == MEMBERS else ()
    return (Rung(precision, members), *mixed, Rung("fp32", members))


def to_half(model: onnx.ModelProto, precision: str, members: Sequence[str]) -> onnx.ModelProto:
    """A copy whose networks compute in half precision.

    The precision is in the types of the graph's tensors, so strongly typed runtimes follow it.

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
    halved: set[str] = set()  # tensors that are half by now
    casts: dict[tuple[str, int], str] = {}
    nodes: list[NodeProto] = []

    def cast(name: str, to: int) -> str:
        if (name, to) not in casts:
            other = f"{name}.{TensorProto.DataType.Name(to).lower()}"
            casts[name, to] = other
            if name in stored and to == half:
                stored[other] = _half_tensor(stored[name], half, other)
            else:
                nodes.append(helper.make_node("Cast", [name], [other], f"{other}.cast", to=to))
        return casts[name, to]

    for node in graph.node:
        inside = _belongs(node, members) and node.op_type not in KEPT_IN_FLOAT32
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
    return _with(model, nodes, [tensor for name, tensor in stored.items() if name in used])


def to_int8(
    model: onnx.ModelProto,
    members: Sequence[str],
    calibration: Sequence[Inputs],
    symmetric: bool = False,
) -> onnx.ModelProto:
    """A copy whose networks compute in 8-bit integers where they can (QDQ), quantised by NNCF.

    The first and the last convolution of each network stay in float32: they see the image and make
    the logits, where 256 steps are few, and cost little.

    Args:
        model: in float32, batch normalization folded into the convolutions.
        members: the networks to change.
        calibration: batches to run for the ranges of activations.
        symmetric: activations too have their zero at 0, which TensorRT asks for.

    Raises:
        RuntimeUnavailableError: NNCF, or ONNX Runtime, which runs its calibration, is missing.
    """
    try:
        import onnxruntime  # noqa: F401

        with silent():
            import nncf
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"--precision int8 needs {error.name}; pip install 'ctct[export]'"
        ) from error

    kept = [
        node.name
        for node in model.graph.node
        if node.op_type != "Constant" and not _belongs(node, members)
    ]
    for member in members:
        convolutions = [
            n.name for n in model.graph.node if n.op_type == "Conv" and _belongs(n, [member])
        ]
        kept += convolutions[:1] + convolutions[-1:]
    preset = nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with silent():
        return nncf.quantize(
            copy,
            nncf.Dataset(calibration, lambda batch: dict(zip(INPUTS, batch, strict=True))),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=preset,
            ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
            subset_size=len(calibration),
        )


@contextmanager
def silent() -> Iterator[None]:
    """Without the progress bars and advice of libraries, on either stream."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _belongs(node: NodeProto, members: Sequence[str]) -> bool:
    return node.name.split("/", 1)[0] in members


def _half_tensor(tensor: TensorProto, half: int, name: str) -> TensorProto:
    """``tensor`` in half precision, values beyond its range at its ends."""
    values = numpy_helper.to_array(tensor)
    if half == TensorProto.FLOAT16:
        largest = np.finfo(np.float16).max
        return numpy_helper.from_array(values.clip(-largest, largest).astype(np.float16), name)
    # As raw bytes: OpenVINO misreads the other form, that of onnx.helper.make_tensor.
    return numpy_helper.from_array(values.astype(ml_dtypes.bfloat16), name)


def _with(
    model: onnx.ModelProto, nodes: Sequence[NodeProto], initializers: Sequence[TensorProto]
) -> onnx.ModelProto:
    """``model`` with other nodes and weights, and no inferred types that may be stale."""
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
