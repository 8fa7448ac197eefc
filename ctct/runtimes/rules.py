"""The rules by which a runtime, its device and the precision are chosen.

Each table is read from the top, and the first rule that applies decides. Messages and choices are
templates in which ``r`` is the :class:`Request`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar, get_args

from ctct.choices import Device, Precision, RuntimeName
from ctct.errors import ConfigError, CtctError, ModelError, RuntimeUnavailableError
from ctct.model_files.variant import bf16_path
from ctct.runtimes.machine import Machine, how_to_install_runtime

RUNTIMES, DEVICES, PRECISIONS = map(get_args, (RuntimeName, Device, Precision))

#: Runtimes that need a GPU.
GPU_ONLY = ("onnxruntime-trt", "tensorrt")

#: Files that one runtime alone can run, by their ending: what they are, and that runtime.
SINGLE_RUNTIME = {
    ".xml": ("a file in OpenVINO's format", "openvino"),
    ".engine": ("a TensorRT engine", "tensorrt"),
    ".safetensors": ("a checkpoint", "torch"),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What is requested, and the machine it is to run on.

    Attributes:
        path: the model file.
        runtime: one of :data:`RUNTIMES`.
        device: one of :data:`DEVICES`.
        precision: one of :data:`PRECISIONS`.
        gpus: numbers of the GPUs that share the work; empty for the first.
        machine: answers questions about this machine.
    """

    path: Path
    runtime: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    gpus: tuple[int, ...] = ()
    machine: Machine = field(default_factory=Machine)

    @property
    def file_kind(self) -> str:
        """What the file is, in words; empty for an ``.onnx`` file."""
        return SINGLE_RUNTIME.get(self.path.suffix, ("", ""))[0]

    @property
    def file_runtime(self) -> str:
        """The only runtime that can run the file; empty for an ``.onnx`` file."""
        return SINGLE_RUNTIME.get(self.path.suffix, ("", ""))[1]

    @property
    def fixed_runtime(self) -> str:
        """The runtime where there is no choice, because of its name or of the file."""
        return self.file_runtime or self.runtime

    @property
    def use_another(self) -> str:
        """The first words of a remedy that names another runtime."""
        return "use an .onnx file of the model with" if self.file_kind else "use"

    @property
    def has_gpu(self) -> bool:
        """Whether a GPU may be used and there is one. The driver is asked only where it may."""
        return self.device != "cpu" and self.machine.gpu_count > 0

    @property
    def place(self) -> str:
        """The device of a runtime that runs on both."""
        return "cuda" if self.has_gpu else "cpu"

    @property
    def why_cpu(self) -> str:
        """Why the CPU is used where the runtime is free."""
        if self.device == "cpu":
            return "device cpu requested"
        return "no GPU runtime installed" if self.has_gpu else "no CUDA GPU found"

    @property
    def gpu_list(self) -> str:
        """The numbers of the GPUs as on the command line."""
        return ",".join(map(str, self.gpus))

    @property
    def installed(self) -> str:
        """Names of the installed runtimes."""
        return ", ".join(self.machine.runtimes) or "none"

    @property
    def install(self) -> str:
        """How the fixed runtime is installed."""
        return how_to_install_runtime(self.fixed_runtime)

    @property
    def install_gpu(self) -> str:
        """How ONNX Runtime with CUDA is installed."""
        return how_to_install_runtime("onnxruntime")

    @property
    def install_base(self) -> str:
        """How OpenVINO is installed, which every copy of ctct brings."""
        return how_to_install_runtime("openvino")

    @property
    def bf16_path(self) -> Path:
        """Where the bf16 variant of the file lies, if it has one."""
        return bf16_path(self.path)

    @property
    def has_bf16_variant(self) -> bool:
        """Whether it has one."""
        return self.path.suffix == ".onnx" and self.bf16_path.exists()

    def has(self, runtime: str) -> bool:
        """Whether a runtime is installed."""
        return runtime in self.machine.runtimes


class Choice(NamedTuple):
    """A runtime, its device ("cpu" or "cuda") and the reason for both in words."""

    runtime: str
    device: str
    reason: str


class Refusal(NamedTuple):
    """An error and its message."""

    error: type[CtctError]
    message: str


@dataclass(frozen=True)
class Rule(Generic[T]):
    """One row of a table: what it is about, when it applies, and what follows."""

    name: str
    applies: Callable[[Request], bool]
    outcome: T | Refusal


def decide(rules: Sequence[Rule[T]], request: Request) -> T:
    """The outcome of the first rule that applies.

    Raises:
        CtctError: that outcome is a refusal.
    """
    outcome = first_match(rules, request).outcome
    if isinstance(outcome, Refusal):
        raise outcome.error(outcome.message.format(r=request))
    return outcome


def first_match(rules: Sequence[Rule[T]], request: Request) -> Rule[T]:
    """The first rule that applies; the last of each table always does."""
    return next(rule for rule in rules if rule.applies(request))


def _always(request: Request) -> bool:
    return True


def _one_of(names: Sequence[str]) -> str:
    return f"choose one of {', '.join(names)}"


RUNTIME_RULES: tuple[Rule[Choice], ...] = (
    Rule(
        "unknown runtime",
        lambda r: r.runtime not in RUNTIMES,
        Refusal(ConfigError, f"--runtime {{r.runtime}}: {_one_of(RUNTIMES)}"),
    ),
    Rule(
        "unknown device",
        lambda r: r.device not in DEVICES,
        Refusal(ConfigError, f"--device {{r.device}}: {_one_of(DEVICES)}"),
    ),
    Rule(
        "unknown precision",
        lambda r: r.precision not in PRECISIONS,
        Refusal(ConfigError, f"--precision {{r.precision}}: {_one_of(PRECISIONS)}"),
    ),
    Rule(
        "runtime not installed",
        lambda r: r.runtime != "auto" and not r.has(r.runtime),
        Refusal(
            RuntimeUnavailableError,
            "--runtime {r.runtime}: not installed; {r.install}, or use one of {r.installed}",
        ),
    ),
    Rule(
        "file of another runtime",
        lambda r: bool(r.file_runtime) and r.runtime not in ("auto", r.file_runtime),
        Refusal(
            ModelError,
            "{r.path}: {r.runtime} cannot run {r.file_kind}; use --runtime {r.file_runtime}, or an "
            ".onnx file of the model",
        ),
    ),
    Rule(
        "runtime of the file not installed",
        lambda r: bool(r.file_runtime) and not r.has(r.file_runtime),
        Refusal(
            RuntimeUnavailableError, "{r.path}: {r.file_kind} needs {r.file_runtime}; {r.install}"
        ),
    ),
    Rule(
        "GPU runtime on the CPU",
        lambda r: r.fixed_runtime in GPU_ONLY and r.device == "cpu",
        Refusal(
            RuntimeUnavailableError,
            "--device cpu: {r.fixed_runtime} runs on a GPU; {r.use_another} --runtime openvino or "
            "onnxruntime",
        ),
    ),
    Rule(
        "OpenVINO on a GPU",
        lambda r: r.fixed_runtime == "openvino" and r.device == "cuda",
        Refusal(
            RuntimeUnavailableError,
            "--device cuda: openvino runs on the CPU; {r.use_another} --runtime onnxruntime",
        ),
    ),
    Rule(
        "OpenVINO's format",
        lambda r: r.file_runtime == "openvino",
        Choice("openvino", "cpu", "the model is {r.file_kind}"),
    ),
    Rule(
        "GPU requested without one",
        lambda r: r.device == "cuda" and not r.has_gpu,
        Refusal(RuntimeUnavailableError, "--device cuda: no CUDA GPU or driver on this machine"),
    ),
    Rule(
        "GPU runtime without a GPU",
        lambda r: r.fixed_runtime in GPU_ONLY and not r.has_gpu,
        Refusal(
            RuntimeUnavailableError,
            "{r.path}: no CUDA GPU or driver on this machine for {r.fixed_runtime}; "
            "{r.use_another} --runtime openvino",
        ),
    ),
    Rule(
        "TensorRT engine",
        lambda r: r.file_runtime == "tensorrt",
        Choice("tensorrt", "cuda", "the model is {r.file_kind}"),
    ),
    Rule(
        "checkpoint",
        lambda r: r.file_runtime == "torch",
        Choice("torch", "{r.place}", "the model is {r.file_kind}"),
    ),
    Rule(
        "OpenVINO by name",
        lambda r: r.runtime == "openvino",
        Choice("openvino", "cpu", "as requested"),
    ),
    Rule(
        "another runtime by name",
        lambda r: r.runtime != "auto",
        Choice("{r.runtime}", "{r.place}", "as requested"),
    ),
    Rule(
        "ONNX Runtime on the GPU",
        lambda r: r.has_gpu and r.has("onnxruntime"),
        Choice("onnxruntime", "cuda", "{r.machine.gpu_count} CUDA GPU found"),
    ),
    Rule(
        "PyTorch on the GPU",
        lambda r: r.has_gpu and r.has("torch"),
        Choice("torch", "cuda", "{r.machine.gpu_count} CUDA GPU found"),
    ),
    Rule(
        "GPU requested without a runtime for it",
        lambda r: r.device == "cuda",
        Refusal(RuntimeUnavailableError, "--device cuda: {r.install_gpu} to use the GPU"),
    ),
    Rule(
        "OpenVINO on the CPU",
        lambda r: r.has("openvino"),
        Choice("openvino", "cpu", "{r.why_cpu}"),
    ),
    Rule(
        "ONNX Runtime on the CPU",
        lambda r: r.has("onnxruntime"),
        Choice("onnxruntime", "cpu", "{r.why_cpu}"),
    ),
    Rule("PyTorch on the CPU", lambda r: r.has("torch"), Choice("torch", "cpu", "{r.why_cpu}")),
    Rule(
        "no runtime installed",
        _always,
        Refusal(RuntimeUnavailableError, "no runtime installed; {r.install_base} brings openvino"),
    ),
)

#: For a request whose runtime and device are chosen.
GPU_RULES: tuple[Rule[None], ...] = (
    Rule("no list of GPUs", lambda r: not r.gpus, None),
    Rule(
        "GPUs listed for the CPU",
        lambda r: r.device != "cuda",
        Refusal(
            RuntimeUnavailableError,
            "--devices {r.gpu_list}: {r.runtime} runs on the CPU here; leave it out",
        ),
    ),
    Rule(
        "another GPU than the first for TensorRT",
        lambda r: r.runtime == "tensorrt" and set(r.gpus) != {0},
        Refusal(
            RuntimeUnavailableError,
            "--devices {r.gpu_list}: tensorrt runs on the first GPU only; use --runtime "
            "onnxruntime, or choose the first with CUDA_VISIBLE_DEVICES",
        ),
    ),
    Rule(
        "GPU number out of range",
        lambda r: not all(0 <= gpu < r.machine.gpu_count for gpu in r.gpus),
        Refusal(
            RuntimeUnavailableError,
            "--devices {r.gpu_list}: there are {r.machine.gpu_count} GPUs, numbered from 0",
        ),
    ),
    Rule("GPUs that are there", _always, None),
)

#: Whether the bf16 variant runs, for a request whose runtime and device are chosen.
BF16_RULES: tuple[Rule[bool], ...] = (
    Rule("fp32", lambda r: r.precision == "fp32", False),
    Rule("no bf16 variant", lambda r: not r.has_bf16_variant, False),
    Rule(
        "OpenVINO on a CPU that computes in bf16",
        lambda r: r.runtime == "openvino" and r.machine.computes_in_bf16,
        True,
    ),
    Rule(
        "bf16 on a CPU that does not compute in it",
        lambda r: r.precision == "bf16" and r.runtime == "openvino",
        Refusal(
            RuntimeUnavailableError,
            "--precision bf16: this CPU does not compute in it; use --precision fp32, or another "
            "--runtime",
        ),
    ),
    Rule(
        "bf16 on another runtime",
        lambda r: r.precision == "bf16",
        Refusal(
            RuntimeUnavailableError,
            "--precision bf16: {r.runtime} is chosen; use --precision fp32, or --runtime openvino",
        ),
    ),
    Rule("bf16 of no use", _always, False),
)
