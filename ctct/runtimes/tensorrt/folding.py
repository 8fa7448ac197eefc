"""Working out the small constants of a graph before TensorRT reads it.

TensorRT's parser wants the axes of a reduction as a constant, and does not itself work out the
Reshape of one that torch.onnx leaves in a graph that is not optimised. Only small results are kept:
the casts of the weights, stored as float16, stay as they are.
"""

from __future__ import annotations

from typing import Any

from ctct.errors import ModelError, RuntimeUnavailableError

#: Most elements of a constant that is worked out.
MAX_ELEMENTS = 4096

_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"}


def fold_constants(content: bytes, name: str = "model") -> bytes:
    """The ONNX file ``content`` with every node of small constant inputs replaced by its result.

    Args:
        content: a serialised ModelProto that holds its weights.
        name: of the file, for errors.

    Raises:
        ModelError: it is not an ONNX file.
        RuntimeUnavailableError: the onnx package is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper
    except ImportError as error:
        raise RuntimeUnavailableError(
            "onnx: not installed; pip install 'ctct[tensorrt]'"
        ) from error
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(f"{name}: not an ONNX file; make one with ctct export") from error
    known: dict[str, Any] = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if _elements(tensor.dims) <= MAX_ELEMENTS
    }
    nodes = []
    for node in model.graph.node:
        results = _evaluate(node, known, model.opset_import)
        if results is None:
            nodes.append(node)
            continue
        for output, value in zip(node.output, results, strict=True):
            known[output] = value
            constant = numpy_helper.from_array(value, output)
            nodes.append(onnx.helper.make_node("Constant", [], [output], value=constant))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    folded: bytes = model.SerializeToString()
    return folded


def _evaluate(node: Any, known: dict[str, Any], opsets: Any) -> list[Any] | None:
    """The results of a node whose inputs are all known and small; None for any other node."""
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    has_body = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
    inputs = [name for name in node.input if name]
    if node.domain or node.op_type in _RANDOM or has_body:
        return None
    if not all(node.output) or not all(name in known for name in inputs):
        return None
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [],
        [onnx.ValueInfoProto(name=name) for name in node.output],
        [onnx.numpy_helper.from_array(known[name], name) for name in dict.fromkeys(inputs)],
    )
    try:
        model = onnx.helper.make_model(graph, opset_imports=opsets)
        results = [np.asarray(value) for value in ReferenceEvaluator(model).run(None, {})]
    except Exception:  # an operator the reference lacks is left for TensorRT to judge
        return None
    return results if all(value.size <= MAX_ELEMENTS for value in results) else None


def _elements(dims: Any) -> int:
    count = 1
    for dim in dims:
        count *= dim
    return count
