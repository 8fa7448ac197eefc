"""The file formats: how each is written, and which runtime verifies it."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ctct.errors import ModelError, OutputError
from ctct.exporters.onnx_graph import save_onnx
from ctct.exporters.precision import GraphPrecision
from ctct.exporters.request import ExportRequest
from ctct.exporters.trained_pair import STEM, TrainedPair
from ctct.model_files.model_file import find_model
from ctct.model_files.sidecar import TENSORRT, read_engine_record
from ctct.runtimes.base import INPUTS, Runtime

log = logging.getLogger(__name__)
#: Called with a description of each step as it begins.
OnStage = Callable[[str], None]


@dataclass(frozen=True)
class ExportJob:
    """One model to write.

    Attributes:
        pair: the networks.
        precision: precision of the graph.
        folder: an existing folder to write into.
        request: the settings of the whole export.
        on_stage: called with a description of each step.
    """

    pair: TrainedPair
    precision: GraphPrecision
    folder: Path
    request: ExportRequest
    on_stage: OnStage


@dataclass(frozen=True)
class Loaded:
    """A file that is loaded for verification.

    Attributes:
        runtime: the runtime that verifies it.
        unloadable_in: other runtimes of its format that cannot load it, and why.
    """

    runtime: Runtime
    unloadable_in: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        write: writes a model and returns its path.
        load: loads that path on the runtime that verifies it, the one that the format is for.
        half: the half precision in which runtimes of this format are fast.
        heart_crop: whether the graph on the heart crop's grid is written too.
    """

    write: Callable[[ExportJob], Path]
    load: Callable[[Path], Loaded]
    half: str = "fp16"
    heart_crop: bool = False


def _write_onnx(job: ExportJob, symmetric: bool = False) -> Path:
    path, precision = job.folder / f"{job.pair.stem}.onnx", job.precision.precision
    model = job.pair.to_onnx(job.precision, symmetric=symmetric and precision == "int8")
    save_onnx(model, path, fp16_weights=precision == "fp32")
    return path


def _load_onnx(path: Path) -> Loaded:
    """ONNX Runtime, or OpenVINO where it cannot load the file; each says whether it can."""
    from ctct.runtimes.openvino_cpu import OpenVinoRuntime

    candidates: dict[str, Callable[[], Runtime]] = {}
    if importlib.util.find_spec("onnxruntime"):
        from ctct.runtimes.onnx_runtime import OnnxRuntime

        candidates["ONNX Runtime on the CPU"] = partial(OnnxRuntime, path)
    else:
        log.warning("ONNX Runtime is not installed: OpenVINO alone verifies %s", path.name)
    candidates["OpenVINO"] = partial(OpenVinoRuntime, path, keep=False)
    loaded: list[Runtime] = []
    unloadable_in: dict[str, str] = {}
    for name, load in candidates.items():
        try:
            loaded.append(load())
        except ModelError as error:
            unloadable_in[name] = " ".join(str(error).removeprefix(f"{path}: ").split())[:300]
    if not loaded:
        raise ModelError(f"{path}: {'; '.join(unloadable_in.values())}")
    return Loaded(loaded[0], unloadable_in)


def _write_openvino(job: ExportJob) -> Path:
    source = _write_onnx(job)
    path = source.with_suffix(".xml")
    convert_to_openvino(source, path)
    return path


def _load_openvino(path: Path) -> Loaded:
    from ctct.runtimes.openvino_cpu import OpenVinoRuntime

    return Loaded(OpenVinoRuntime(path, keep=False))


def _write_engine(job: ExportJob) -> Path:
    from ctct.runtimes.tensorrt.build import build_engine

    def report(done: int, total: int, phase: str) -> None:
        job.on_stage(f"engine: building {job.precision}, {phase} {done}/{total}")

    source = _write_onnx(job, symmetric=True)
    path = source.with_suffix(".engine")
    build_engine(source, path, job.request.profile, job.request.targets, observe=report)
    return path


def _load_engine(path: Path) -> Loaded:
    """The engine where it can run; otherwise the ONNX graph it was built from."""
    from ctct.runtimes.cuda import current_gpu
    from ctct.runtimes.tensorrt.compatibility import find_mismatch, load_package

    gpu, record = current_gpu(), read_engine_record(path)
    reason = "there is no GPU"
    if gpu:
        reason = find_mismatch(record, path.read_bytes(), load_package(record.package), gpu)
    if not reason:
        from ctct.runtimes.tensorrt.runtime import TensorRtRuntime

        return Loaded(TensorRtRuntime(find_model(path)))
    log.warning("the engine cannot run here (%s): the ONNX it was built from is verified", reason)
    return _load_onnx(path.with_suffix(".onnx"))


def _write_triton(job: ExportJob) -> Path:
    from ctct.exporters.triton import write_triton_repository

    serve_engine = "engine" in job.request.formats and _triton_loads_engines()
    _, usual, largest = job.request.profile.batch
    repository = job.folder / "triton"
    write_triton_repository(
        repository,
        _write_engine(job) if serve_engine else _write_onnx(job),
        kind="engine" if serve_engine else "onnx",
        max_batch=largest,
        preferred_batches=(usual,),
    )
    return repository


def _triton_loads_engines() -> bool:
    """Whether engines built here are of the TensorRT package that Triton comes with."""
    from ctct.runtimes.tensorrt.compatibility import load_package

    return load_package().name == TENSORRT


def _load_triton(path: Path) -> Loaded:
    """The model that was copied into the repository, from where it was written."""
    engine = path.with_name(f"{STEM}.engine")
    if engine.exists():
        return _load_engine(engine)
    return _load_onnx(path.with_name(f"{STEM}.onnx"))


def _write_monai_bundle(job: ExportJob) -> Path:
    from ctct.exporters.monai_bundle import write_monai_bundle

    bundle = job.folder / "monai-bundle"
    license_file = job.pair.model_file.path.with_name("LICENSE")
    write_monai_bundle(bundle, _write_onnx(job), job.pair.metadata, license_file)
    return bundle


def _load_monai_bundle(path: Path) -> Loaded:
    from ctct.exporters.monai_bundle import MODEL

    return _load_onnx(path / MODEL)


#: By name, see :data:`ctct.exporters.request.FORMAT_NAMES`.
FORMATS = {
    "onnx": Format(_write_onnx, _load_onnx, heart_crop=True),
    "openvino": Format(_write_openvino, _load_openvino, half="bf16", heart_crop=True),
    "engine": Format(_write_engine, _load_engine),
    "triton": Format(_write_triton, _load_triton),
    "monai-bundle": Format(_write_monai_bundle, _load_monai_bundle),
}


def convert_to_openvino(onnx_path: Path, path: Path) -> None:
    """Convert an ONNX file to ``path`` (``.xml``), its weights next to it (``.bin``).

    The graph computes in the types of the ONNX graph; float32 weights are stored as float16.

    Raises:
        ModelError: OpenVINO cannot read the graph.
        OutputError: the files cannot be written.
        RuntimeUnavailableError: OpenVINO is too old.
    """
    import openvino as ov

    from ctct.runtimes.openvino_cpu import check_version

    check_version()
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
