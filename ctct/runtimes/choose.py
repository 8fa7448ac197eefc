"""One file a runtime, and the choice between them."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.model_files.model_file import ModelFile
from ctct.runtimes import cuda
from ctct.runtimes.base import Runtime
from ctct.runtimes.pool import RuntimePool

log = logging.getLogger(__name__)

# OpenVINO and ONNX Runtime report their use to their makers unless told otherwise before they are
# imported. Where patients' scans are read nothing is sent anywhere.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

#: Modules each runtime needs, "a|b" being either, and the extra of ctct that brings them.
PACKAGES = {
    "openvino": (("openvino",), ""),
    "onnxruntime": (("onnxruntime",), "gpu"),
    "onnxruntime-trt": (("onnxruntime",), "gpu"),
    "tensorrt": (("tensorrt|tensorrt_rtx", "cuda.bindings"), "tensorrt"),
    "torch": (("torch", "timm", "safetensors", "onnx"), "export"),
}
#: Distributions that may hold a runtime's code, in the order it looks for them.
DISTRIBUTIONS = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "onnxruntime-trt": ("onnxruntime-gpu", "onnxruntime"),
    "tensorrt": (
        *("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
        *("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
    ),
    "torch": ("torch",),
}
#: Runtimes of a GPU and nothing else.
GPU_ONLY = ("onnxruntime-trt", "tensorrt")
CHOICES = ("auto", *PACKAGES)
DEVICES = ("auto", "cpu", "cuda")


def available() -> list[str]:
    """Runtimes whose packages are installed."""
    return [
        name
        for name, (modules, _) in PACKAGES.items()
        if all(any(_is_installed(name) for name in either.split("|")) for either in modules)
    ]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package it would be in is not there
        return False


def install(runtime: str) -> str:
    """The command that brings a runtime."""
    extra = PACKAGES[runtime][1]
    return f"pip install 'ctct[{extra}]'" if extra else "pip install 'ctct'"


def describe(runtime: str) -> str:
    """Version of an installed runtime and what holds it, as in "2026.1 (openvino)"."""
    for distribution in DISTRIBUTIONS[runtime]:
        try:
            return f"{version(distribution)} ({distribution})"
        except PackageNotFoundError:
            continue
    return "version unknown"


def choose(model: ModelFile, runtime: str = "auto", device: str = "auto") -> tuple[str, str, str]:
    """Runtime, device ("cpu" or "cuda") and the reason for them in words.

    Raises:
        ConfigError: the name of a runtime or device is unknown.
        ModelError: the runtime cannot run this kind of model file.
        RuntimeUnavailableError: what was asked for is not on this machine.
    """
    if runtime not in CHOICES:
        raise ConfigError(f"--runtime {runtime}: choose one of {', '.join(CHOICES)}")
    if device not in DEVICES:
        raise ConfigError(f"--device {device}: choose one of {', '.join(DEVICES)}")
    found = available()
    if runtime != "auto" and runtime not in found:
        raise RuntimeUnavailableError(
            f"--runtime {runtime}: not installed; {install(runtime)}, or use one of "
            f"{', '.join(found) or 'none'}"
        )
    if model.is_openvino or model.is_engine:
        return _choose_own(model, runtime, device, found)
    if not model.is_onnx and runtime not in ("auto", "torch"):
        raise ModelError(
            f"{model.path}: {runtime} needs an .onnx file; make one with ctct export, "
            "or use --runtime torch"
        )
    if device == "cpu" and runtime in GPU_ONLY:
        raise RuntimeUnavailableError(
            f"--device cpu: {runtime} runs on a GPU; use --runtime openvino or onnxruntime"
        )
    gpus = cuda.cuda_devices() if device != "cpu" else 0
    if device == "cuda" and not gpus:
        raise RuntimeUnavailableError("--device cuda: no CUDA GPU or driver on this machine")
    if runtime == "tensorrt" and not gpus:
        raise RuntimeUnavailableError(
            "--runtime tensorrt: no CUDA GPU or driver on this machine; use --runtime openvino"
        )
    if device == "cuda" and runtime == "openvino":
        raise RuntimeUnavailableError("--device cuda: openvino has none; use --runtime onnxruntime")
    place = "cuda" if gpus and runtime != "openvino" else "cpu"
    if not model.is_onnx:
        if "torch" not in found:
            raise RuntimeUnavailableError(
                f"{model.path}: a checkpoint needs pip install 'ctct[export]'"
            )
        return "torch", place, "the model is a checkpoint"
    if runtime == "onnxruntime-trt" and not gpus:
        return runtime, "cpu", "no CUDA GPU found"
    if runtime != "auto":
        return runtime, place, "as asked"
    if place == "cuda":
        for name in ("onnxruntime", "torch"):
            if name in found:
                return name, "cuda", f"{gpus} CUDA GPU found"
        if device == "cuda":
            raise RuntimeUnavailableError("--device cuda: pip install 'ctct[gpu]' to use the GPU")
    for name in ("openvino", "onnxruntime", "torch"):
        if name in found:
            why = "device cpu asked for" if device == "cpu" else "no CUDA GPU found"
            return name, "cpu", why if not gpus else "no GPU runtime installed"
    raise RuntimeUnavailableError("no runtime installed; pip install ctct brings openvino")


def _choose_own(
    model: ModelFile, runtime: str, device: str, found: list[str]
) -> tuple[str, str, str]:
    """The same for a file that one runtime alone can run: OpenVINO's format, or an engine."""
    own, place, kind = (
        ("openvino", "cpu", "in OpenVINO's format")
        if model.is_openvino
        else ("tensorrt", "cuda", "a TensorRT engine")
    )
    if runtime not in ("auto", own):
        raise ModelError(
            f"{model.path}: {runtime} cannot run what is {kind}; use --runtime {own}, or an .onnx "
            "file of the model"
        )
    if own not in found:
        raise RuntimeUnavailableError(f"{model.path}: is {kind}; {install(own)}")
    if device not in ("auto", place) or (place == "cuda" and not cuda.cuda_devices()):
        why = f"--device {device}" if device != "auto" else "no CUDA GPU or driver on this machine"
        raise RuntimeUnavailableError(
            f"{model.path}: {own} runs it on {place} ({why}); use an .onnx file of the model"
        )
    return own, place, f"the model is {kind}"


def load(
    model: ModelFile,
    runtime: str = "auto",
    device: str = "auto",
    gpus: Sequence[int] = (),
    announce: bool = True,
) -> Runtime:
    """Load ``model`` into the chosen runtime; say in one line, if asked, which and why.

    Args:
        model: the model.
        runtime: a key of :data:`PACKAGES`, or "auto".
        device: of :data:`DEVICES`.
        gpus: numbers of those that share its calls; the same twice has two calls at once. Empty:
            the first, where a GPU is used.
        announce: say which and why.
    """
    name, place, why = choose(model, runtime, device)
    _check_gpus(gpus, name, place)
    members = [_load(model, name, place, gpu) for gpu in gpus or (0,)]
    loaded = members[0] if len(members) == 1 else RuntimePool(members)
    if loaded.device != place:
        why = f"{place} failed to start"
    if announce:
        log.info("runtime %s on %s (%s)", loaded.name, loaded.device, why)
    return loaded


def _check_gpus(gpus: Sequence[int], runtime: str, place: str) -> None:
    if not gpus:
        return
    asked = f"--devices {','.join(map(str, gpus))}"
    if place != "cuda":
        raise RuntimeUnavailableError(f"{asked}: {runtime} runs on the CPU here; leave it out")
    if runtime == "tensorrt" and set(gpus) != {0}:
        raise RuntimeUnavailableError(
            f"{asked}: tensorrt runs on the first GPU alone; use --runtime onnxruntime, or choose "
            "the first with CUDA_VISIBLE_DEVICES"
        )
    count = cuda.cuda_devices()
    if not all(0 <= gpu < count for gpu in gpus):
        raise RuntimeUnavailableError(f"{asked}: there are {count} GPUs, numbered from 0")


def _load(model: ModelFile, name: str, place: str, gpu: int) -> Runtime:
    if name == "openvino":
        from ctct.runtimes.openvino_cpu import OpenVinoRuntime

        return OpenVinoRuntime(model.path)
    if name in ("onnxruntime", "onnxruntime-trt"):
        from ctct.runtimes.onnx_runtime import OnnxRuntime

        return OnnxRuntime(model.path, place, with_tensorrt=name == "onnxruntime-trt", gpu=gpu)
    if name == "tensorrt":
        from ctct.runtimes.tensorrt.runtime import TensorRtRuntime

        return TensorRtRuntime(model)
    from ctct.models.checkpoint import load_checkpoint
    from ctct.runtimes.torch_eager import TorchRuntime

    return TorchRuntime(load_checkpoint(model.path)[0], place, gpu)
