"""How each format is written, and what runs it to see whether it is right."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctct.exporters.onnx_graph import save_onnx
from ctct.exporters.precision import Rung
from ctct.exporters.trained_pair import STEM, TrainedPair

from ctct.errors import ModelError, OutputError
from ctct.model_files.model_file import find_model
from ctct.runtimes.base import INPUTS, Runtime

if TYPE_CHECKING:
    from ctct.exporters.request import ExportRequest

log = logging.getLogger(__name__)
#: Told what is being done.
Observe = Callable[[str], None]


def _write_onnx(
    pair: TrainedPair, rung: Rung, folder: Path, request: ExportRequest, observe: Observe
) -> Path:
    path = folder / f"{pair.stem}.onnx"
    save_onnx(pair.model(rung), path, store_half=rung.precision == "fp32")
    return path


def _run_onnx(path: Path, rung: Rung) -> Runtime:
    # ONNX Runtime has no bfloat16 convolution for the CPU.
    if not rung.has_bf16 and importlib.util.find_spec("onnxruntime"):
        from ctct.runtimes.onnx_runtime import OnnxRuntime

        return OnnxRuntime(path)
    return _run_openvino(path, rung)


def _write_openvino(
    pair: TrainedPair, rung: Rung, folder: Path, request: ExportRequest, observe: Observe
) -> Path:
    path = folder / f"{pair.stem}.xml"
    write_openvino(_write_onnx(pair, rung, folder, request, observe), path)
    return path


def _run_openvino(path: Path, rung: Rung) -> Runtime:
    from ctct.runtimes.openvino_cpu import OpenVinoRuntime

    return OpenVinoRuntime(path, keep=False)


def _write_engine(
    pair: TrainedPair, rung: Rung, folder: Path, request: ExportRequest, observe: Observe
) -> Path:
    from ctct.runtimes.tensorrt.build import build_engine

    source, path = folder / f"{pair.stem}.onnx", folder / f"{pair.stem}.engine"
    save_onnx(pair.model(rung, symmetric=True), source, store_half=rung.precision == "fp32")

    def say(done: int, total: int, phase: str) -> None:
        observe(f"engine: building {rung}, {phase} {done}/{total}")

    build_engine(source, path, request.profile, request.targets, observe=say)
    return path


def _run_engine(path: Path, rung: Rung) -> Runtime:
    """The engine itself where it can run, otherwise the ONNX graph it was built from."""
    from ctct.model_files.sidecar import read_engine_record
    from ctct.runtimes.cuda import current_gpu
    from ctct.runtimes.tensorrt.compatibility import find_mismatch, load_package

    gpu, record = current_gpu(), read_engine_record(path)
    reason = "there is no GPU"
    if gpu:
        reason = find_mismatch(record, path.read_bytes(), load_package(record.package), gpu)
    if not reason:
        from ctct.runtimes.tensorrt.runtime import TensorRtRuntime

        return TensorRtRuntime(find_model(path))
    log.warning("the engine cannot run here (%s): the ONNX it was built from is verified", reason)
    return _run_onnx(path.with_suffix(".onnx"), rung)


def _write_triton(
    pair: TrainedPair, rung: Rung, folder: Path, request: ExportRequest, observe: Observe
) -> Path:
    from ctct.exporters.triton import write_triton_repository

    kind = "engine" if "engine" in request.formats and _triton_loads_engines() else "onnx"
    model = (_write_engine if kind == "engine" else _write_onnx)(
        pair, rung, folder, request, observe
    )
    repository = folder / "triton"
    _, usual, most = request.profile.batch
    write_triton_repository(repository, model, kind=kind, max_batch=most, preferred=(usual,))
    return repository


def _triton_loads_engines() -> bool:
    from ctct.model_files.sidecar import TENSORRT
    from ctct.runtimes.tensorrt.compatibility import load_package

    return load_package().name == TENSORRT


def _run_triton(path: Path, rung: Rung) -> Runtime:
    engine = path.with_name(f"{STEM}.engine")
    return (
        _run_engine(engine, rung)
        if engine.exists()
        else _run_onnx(path.with_name(f"{STEM}.onnx"), rung)
    )


@dataclass(frozen=True)
class Format:
    """How a format is written into a folder, and what then runs it to verify it.

    Attributes:
        write: gives the path of what it wrote.
        run: that path, at the precision it was written in.
        half: the half precision that its runtimes are quick with.
        heart_crop: whether the graph of a window is written too, where the pair was trained for it.
    """

    write: Callable[[TrainedPair, Rung, Path, ExportRequest, Observe], Path]
    run: Callable[[Path, Rung], Runtime]
    half: str = "fp16"
    heart_crop: bool = False


FORMATS = {
    "onnx": Format(_write_onnx, _run_onnx, heart_crop=True),
    "openvino": Format(_write_openvino, _run_openvino, half="bf16", heart_crop=True),
    "engine": Format(_write_engine, _run_engine),
    "triton": Format(_write_triton, _run_triton),
}


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
