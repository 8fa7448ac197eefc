"""Which runtimes are installed, and what this machine can run them on."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

from ctct.installation import how_to_install
from ctct.runtimes import cuda

#: Modules that each runtime needs, "a|b" being either, and the extra of ctct that brings them.
PACKAGES = {
    "openvino": (("openvino",), ""),
    "onnxruntime": (("onnxruntime",), "gpu"),
    "onnxruntime-trt": (("onnxruntime",), "gpu"),
    "tensorrt": (("tensorrt|tensorrt_rtx", "cuda.bindings"), "tensorrt"),
    "torch": (("torch", "timm", "safetensors", "onnx"), "export"),
}
#: Distributions that may hold a runtime's code, in the order in which they are looked for.
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


class Machine:
    """Facts about the machine, each looked up when it first matters, and only once."""

    @cached_property
    def runtimes(self) -> tuple[str, ...]:
        """Runtimes whose packages are installed."""
        return installed_runtimes()

    @cached_property
    def gpu_count(self) -> int:
        """Number of CUDA GPUs that the driver reports."""
        return cuda.cuda_devices()

    @cached_property
    def computes_in_bf16(self) -> bool:
        """Whether the CPU multiplies bfloat16 numbers itself."""
        return cpu_computes_in_bf16()


def installed_runtimes() -> tuple[str, ...]:
    """Runtimes whose packages are installed, in the order of :data:`PACKAGES`."""
    return tuple(
        name
        for name, (modules, _) in PACKAGES.items()
        if all(any(map(_is_installed, either.split("|"))) for either in modules)
    )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package it would be in is missing
        return False


def how_to_install_runtime(runtime: str) -> str:
    """The command that installs a runtime."""
    return how_to_install(PACKAGES[runtime][1])


def installed_version(runtime: str) -> str:
    """Version and distribution of an installed runtime, as in "2026.1 (openvino)"."""
    for distribution in DISTRIBUTIONS[runtime]:
        try:
            return f"{version(distribution)} ({distribution})"
        except PackageNotFoundError:
            continue
    return "version unknown"


def cpu_computes_in_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers itself (AVX-512 BF16, AMX, Arm's BF16)."""
    from ctct.runtimes.openvino_cpu import core

    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
