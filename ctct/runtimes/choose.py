"""The choice of model file, runtime and device, made once, and the runtime it leads to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctct.errors import RuntimeUnavailableError
from ctct.model_files.model_file import DEFAULT, ModelFile, locate_model, read_model
from ctct.model_files.variant import bf16_path
from ctct.runtimes.base import Runtime
from ctct.runtimes.machine import Machine
from ctct.runtimes.pool import RuntimePool
from ctct.runtimes.rules import BF16_RULES, GPU_RULES, RUNTIME_RULES, Request, decide

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What runs where, and why.

    Attributes:
        model: the file to run, with the one for heart crops.
        runtime: a key of :data:`ctct.runtimes.machine.PACKAGES`.
        device: "cpu" or "cuda".
        gpus: numbers of the GPUs that share the calls; one that occurs twice has two calls at once.
            Empty: the first, where a GPU is used.
        reason: why this runtime and device, in words.
    """

    model: ModelFile
    runtime: str
    device: str
    gpus: tuple[int, ...] = ()
    reason: str = ""

    @property
    def for_heart_crop(self) -> Plan | None:
        """The same for heart crops; None where the model has no graph for them."""
        return replace(self, model=self.model.heart_crop) if self.model.heart_crop else None


def resolve(
    model: str | Path | ModelFile = DEFAULT,
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    gpus: Sequence[int] = (),
    heart_crop: bool = True,
    machine: Machine | None = None,
) -> Plan:
    """Choose what runs, by the tables of :mod:`ctct.runtimes.rules`.

    Only the files of the plan are read, each once.

    The bf16 variant of ``X.onnx`` is ``X.bf16.onnx`` beside it: the same pair, exported with
    ``--precision bf16`` and so through the parity gate. The bundled model has one. A runtime that
    lowers the precision itself would also round the sampling positions.

    Args:
        model: see :func:`ctct.model_files.model_file.find_model`, or a file already read.
        runtime: "auto" or a key of :data:`ctct.runtimes.machine.PACKAGES`.
        device: "auto", "cpu" or "cuda".
        precision: "auto" takes the bf16 variant where OpenVINO runs it on a CPU that computes in
            bfloat16; "fp32" takes the file itself; "bf16" requires bfloat16.
        gpus: as of :class:`Plan`.
        heart_crop: whether to use the graph for heart crops, where there is one.
        machine: answers the questions about this machine; share one between several plans.

    Raises:
        ConfigError: the name of a runtime, device or precision is unknown.
        ModelError: the file is missing, damaged or not for this runtime.
        RuntimeUnavailableError: this machine lacks what was requested.
    """
    path = model.path if isinstance(model, ModelFile) else locate_model(model)
    request = Request(path, runtime, device, precision, tuple(gpus), machine or Machine())
    runtime, device, reason = (text.format(r=request) for text in decide(RUNTIME_RULES, request))
    request = replace(request, runtime=runtime, device=device)
    decide(GPU_RULES, request)
    if decide(BF16_RULES, request):
        file = read_model(bf16_path(path), heart_crop)
    elif path.suffix == ".safetensors":
        from ctct.models.checkpoint import read_run

        file = read_run(path, heart_crop)
    elif isinstance(model, ModelFile):
        file = model if heart_crop else replace(model, heart_crop=None)
    else:
        file = read_model(path, heart_crop)
    if precision == "bf16" and file.description.get("precision") != "bf16":
        raise RuntimeUnavailableError(
            f"--precision bf16: {path} has no {bf16_path(path).name} beside it; make one with "
            "ctct export --precision bf16"
        )
    return Plan(file, runtime, device, request.gpus, reason)


def load_runtime(plan: Plan, announce: bool = True) -> Runtime:
    """Load the model of ``plan`` into its runtime. It may be called from several threads.

    Args:
        plan: from :func:`resolve`.
        announce: log in one line which runtime runs where, and why.

    Raises:
        ModelError: the runtime cannot load the file.
    """
    loaded = RuntimePool([_load(plan, gpu) for gpu in plan.gpus or (0,)])
    if announce:
        failed = loaded.device != plan.device
        reason = f"{plan.device} failed to start" if failed else plan.reason
        log.info("runtime %s on %s (%s)", loaded.name, loaded.device, reason)
    return loaded


def _load(plan: Plan, gpu: int) -> Runtime:
    path = plan.model.path
    if plan.runtime == "openvino":
        from ctct.runtimes.openvino_cpu import OpenVinoRuntime

        return OpenVinoRuntime(path)
    if plan.runtime in ("onnxruntime", "onnxruntime-trt"):
        from ctct.runtimes.onnx_runtime import OnnxRuntime

        with_tensorrt = plan.runtime == "onnxruntime-trt"
        return OnnxRuntime(path, plan.device, with_tensorrt=with_tensorrt, gpu=gpu)
    if plan.runtime == "tensorrt":
        from ctct.runtimes.tensorrt.runtime import TensorRtRuntime

        return TensorRtRuntime(plan.model)
    from ctct.models.checkpoint import load_checkpoint
    from ctct.runtimes.torch_eager import TorchRuntime

    graph, _ = load_checkpoint(path)
    graph.set_grid(plan.model.description["grid"]["size"])
    return TorchRuntime(graph, plan.device, gpu)
