"""Constant folding of a graph before TensorRT reads it, with onnxscript.

TensorRT's parser wants the axes of a reduction as a constant, and does not itself compute the
Reshape of one that torch.onnx leaves in a graph that is not optimized. The folded graph is for the
build alone: names of small weights are lost in it, by which a checkpoint is restored from a file.
"""

from __future__ import annotations

from ctct.errors import ModelError, RuntimeUnavailableError


def fold_constants(content: bytes, name: str = "model") -> bytes:
    """The ONNX file ``content`` with nodes of constant inputs replaced by their results.

    Only small results are stored; the casts of large weights, stored as float16, stay as they are.

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
            f"{error.name}: not installed; pip install 'ctct[tensorrt]'"
        ) from error
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(f"{name}: not an ONNX file; make one with ctct export") from error
    optimizer.fold_constants(model, onnx_shape_inference=False)
    folded: bytes = model.SerializeToString()
    return folded
