"""An ONNX graph as TensorRT's parser needs it. The result is for the build alone.

- Constants are folded, with onnxscript: the parser wants the axes of a reduction as a constant, and
  does not itself compute the Reshape of one that torch.onnx leaves in a graph that is not
  optimized. Names of small weights are lost in it, by which a checkpoint is restored from a file.
- GridSample has its interpolation under the name that every version of the parser knows. ONNX
  renamed "bilinear" to "linear" in operator set 20, and parsers up to that of TensorRT-RTX 1.5 and
  TensorRT 11.1 take a name they do not know as "nearest", without a word.
"""

from __future__ import annotations

from typing import Any

from ctct.errors import ModelError, RuntimeUnavailableError
from ctct.installation import how_to_install

#: Names of interpolations in operator set 20, and before.
_FORMER_MODES = {b"linear": b"bilinear", b"cubic": b"bicubic"}
#: Changes whenever the same file is prepared in another way, so that engines are built again.
REVISION = 2


def prepare_graph(content: bytes, name: str = "model") -> bytes:
    """The ONNX file ``content``, rewritten for TensorRT's parser.

    Only small results of folding are stored; the casts of large weights, stored as float16, stay as
    they are.

    Args:
        content: a serialized ModelProto that holds its weights.
        name: of the file, for errors.

    Raises:
        ModelError: it is not an ONNX file.
        RuntimeUnavailableError: onnxscript is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnxscript import optimizer
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"{error.name}: not installed; {how_to_install('tensorrt')}"
        ) from error
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(f"{name}: not an ONNX file; make one with ctct export") from error
    optimizer.fold_constants(model, onnx_shape_inference=False)
    _use_former_modes(model.graph)
    prepared: bytes = model.SerializeToString()
    return prepared


def _use_former_modes(graph: Any) -> None:
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "GridSample" else ():
            if attribute.name == "mode":
                attribute.s = _FORMER_MODES.get(attribute.s, attribute.s)
