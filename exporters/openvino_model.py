"""An ONNX model as OpenVINO's own two files."""

from __future__ import annotations

from pathlib import Path

from ctct.errors import ModelError, OutputError
from ctct.inference import runtimes  # noqa: F401  switches OpenVINO's telemetry off
from ctct.inference.contract import INPUTS


def write_openvino(onnx_path: Path, path: Path) -> None:
    """Convert an ONNX file to ``path`` (``.xml``) and the weights beside it (``.bin``).

    The precision is that of the ONNX graph's types; float32 weights are stored as float16.

    Raises:
        ModelError: OpenVINO cannot read the graph.
        OutputError: the files cannot be written.
    """
    import openvino as ov

    try:
        model = ov.convert_model(str(onnx_path))
    except Exception as error:  # its front ends raise errors of several kinds
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{onnx_path}: OpenVINO cannot convert it ({reason})") from error
    assert {name for value in model.inputs for name in value.names} >= set(INPUTS)
    try:
        ov.save_model(model, str(path), compress_to_fp16=True)
    except RuntimeError as error:
        raise OutputError(f"{path}: cannot be written ({error})") from error
