"""The tables of rules, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.runtimes.rules import (
    BF16_RULES,
    GPU_RULES,
    RUNTIME_RULES,
    Request,
    decide,
    first_match,
)

ONNX, OPENVINO, ENGINE, CHECKPOINT = (
    Path(name) for name in ("a.onnx", "a.xml", "a.engine", "run/model.safetensors")
)
CPU_SET, ALL = ("openvino", "onnxruntime"), ("openvino", "onnxruntime", "tensorrt", "torch")


@dataclass
class FakeMachine:
    """A machine with these runtimes and GPUs."""

    runtimes: tuple[str, ...] = ALL
    gpu_count: int = 0
    computes_in_bf16: bool = False


def request(
    path: Path, runtime: str, device: str, installed: tuple[str, ...] = ALL, gpus: int = 0
) -> Request:
    return Request(path, runtime, device, machine=FakeMachine(installed, gpus))  # type: ignore[arg-type]


CHOICES = [
    ("OpenVINO's format", request(OPENVINO, "auto", "auto", ALL, 1), ("openvino", "cpu")),
    ("OpenVINO's format", request(OPENVINO, "openvino", "cpu"), ("openvino", "cpu")),
    ("TensorRT engine", request(ENGINE, "auto", "auto", ALL, 1), ("tensorrt", "cuda")),
    ("TensorRT engine", request(ENGINE, "tensorrt", "cuda", ALL, 1), ("tensorrt", "cuda")),
    ("checkpoint", request(CHECKPOINT, "auto", "auto"), ("torch", "cpu")),
    ("checkpoint", request(CHECKPOINT, "torch", "auto", ALL, 1), ("torch", "cuda")),
    ("OpenVINO by name", request(ONNX, "openvino", "auto", ALL, 1), ("openvino", "cpu")),
    ("another runtime by name", request(ONNX, "onnxruntime", "auto"), ("onnxruntime", "cpu")),
    ("another runtime by name", request(ONNX, "torch", "cuda", ALL, 1), ("torch", "cuda")),
    ("another runtime by name", request(ONNX, "tensorrt", "auto", ALL, 1), ("tensorrt", "cuda")),
    (
        "another runtime by name",
        request(ONNX, "onnxruntime-trt", "auto", ("onnxruntime-trt",), 1),
        ("onnxruntime-trt", "cuda"),
    ),
    ("ONNX Runtime on the GPU", request(ONNX, "auto", "auto", ALL, 2), ("onnxruntime", "cuda")),
    ("PyTorch on the GPU", request(ONNX, "auto", "auto", ("torch",), 1), ("torch", "cuda")),
    ("OpenVINO on the CPU", request(ONNX, "auto", "auto"), ("openvino", "cpu")),
    ("OpenVINO on the CPU", request(ONNX, "auto", "auto", ("openvino",), 1), ("openvino", "cpu")),
    ("OpenVINO on the CPU", request(ONNX, "auto", "cpu", ALL, 1), ("openvino", "cpu")),
    (
        "ONNX Runtime on the CPU",
        request(ONNX, "auto", "auto", ("onnxruntime", "torch")),
        ("onnxruntime", "cpu"),
    ),
    ("PyTorch on the CPU", request(ONNX, "auto", "auto", ("torch",)), ("torch", "cpu")),
]

REFUSALS = [
    ("unknown runtime", request(ONNX, "tpu", "auto"), ConfigError, "--runtime tpu: choose one of"),
    ("unknown device", request(ONNX, "auto", "tpu"), ConfigError, "--device tpu: choose one of"),
    (
        "unknown precision",
        Request(ONNX, precision="fp8"),
        ConfigError,
        "--precision fp8: choose one of auto, fp32, bf16",
    ),
    (
        "runtime not installed",
        request(ONNX, "torch", "auto", CPU_SET),
        RuntimeUnavailableError,
        r"not installed; pip install .*\[export\]', or use one of openvino, onnxruntime",
    ),
    (
        "runtime not installed",
        request(ONNX, "tensorrt", "auto", ()),
        RuntimeUnavailableError,
        r"\[tensorrt\]', or use one of none",
    ),
    (
        "file of another runtime",
        request(CHECKPOINT, "openvino", "auto"),
        ModelError,
        "openvino cannot run a checkpoint; use --runtime torch, or an .onnx file",
    ),
    (
        "file of another runtime",
        request(OPENVINO, "torch", "auto"),
        ModelError,
        "torch cannot run a file in OpenVINO's format; use --runtime openvino",
    ),
    (
        "file of another runtime",
        request(ENGINE, "openvino", "auto"),
        ModelError,
        "a TensorRT engine; use --runtime tensorrt",
    ),
    (
        "runtime of the file not installed",
        request(CHECKPOINT, "auto", "auto", CPU_SET),
        RuntimeUnavailableError,
        r"a checkpoint needs torch; pip install .*\[export\]'",
    ),
    (
        "runtime of the file not installed",
        request(ENGINE, "auto", "auto", CPU_SET),
        RuntimeUnavailableError,
        r"needs tensorrt; pip install .*\[tensorrt\]'",
    ),
    (
        "runtime of the file not installed",
        request(OPENVINO, "auto", "auto", ("torch",)),
        RuntimeUnavailableError,
        "needs openvino; pip install .*'",
    ),
    (
        "GPU runtime on the CPU",
        request(ONNX, "tensorrt", "cpu", ALL, 1),
        RuntimeUnavailableError,
        "--device cpu: tensorrt runs on a GPU; use --runtime openvino",
    ),
    (
        "GPU runtime on the CPU",
        request(ENGINE, "auto", "cpu", ALL, 1),
        RuntimeUnavailableError,
        "--device cpu: tensorrt runs on a GPU; use an .onnx file",
    ),
    (
        "OpenVINO on a GPU",
        request(ONNX, "openvino", "cuda", ALL, 1),
        RuntimeUnavailableError,
        "--device cuda: openvino runs on the CPU; use --runtime onnxruntime",
    ),
    (
        "OpenVINO on a GPU",
        request(OPENVINO, "auto", "cuda", ALL, 1),
        RuntimeUnavailableError,
        "use an .onnx file of the model",
    ),
    (
        "GPU requested without one",
        request(ONNX, "auto", "cuda"),
        RuntimeUnavailableError,
        "--device cuda: no CUDA GPU or driver",
    ),
    (
        "GPU runtime without a GPU",
        request(ONNX, "tensorrt", "auto"),
        RuntimeUnavailableError,
        "no CUDA GPU or driver on this machine for tensorrt; use --runtime openvino",
    ),
    (
        "GPU runtime without a GPU",
        request(ENGINE, "auto", "auto"),
        RuntimeUnavailableError,
        "a.engine: no CUDA GPU or driver on this machine for tensorrt; use an .onnx file",
    ),
    (
        "GPU requested without a runtime for it",
        request(ONNX, "auto", "cuda", ("openvino",), 1),
        RuntimeUnavailableError,
        r"--device cuda: pip install .*\[gpu\]' to use",
    ),
    (
        "no runtime installed",
        request(ONNX, "auto", "auto", ()),
        RuntimeUnavailableError,
        "no runtime installed; pip install .*' brings openvino",
    ),
]


@pytest.mark.parametrize(("rule", "requested", "chosen"), CHOICES)
def test_what_is_chosen(rule: str, requested: Request, chosen: tuple[str, str]) -> None:
    assert first_match(RUNTIME_RULES, requested).name == rule
    runtime, device, reason = (
        text.format(r=requested) for text in decide(RUNTIME_RULES, requested)
    )
    assert (runtime, device) == chosen
    assert reason
    assert "{" not in reason


@pytest.mark.parametrize(("rule", "requested", "error", "message"), REFUSALS)
def test_what_is_refused(
    rule: str, requested: Request, error: type[Exception], message: str
) -> None:
    assert first_match(RUNTIME_RULES, requested).name == rule
    with pytest.raises(error, match=message):
        decide(RUNTIME_RULES, requested)


def test_every_rule_for_runtimes_has_a_row_here() -> None:
    assert {row[0] for row in CHOICES + REFUSALS} == {rule.name for rule in RUNTIME_RULES}


@pytest.mark.parametrize(
    ("requested", "reason"),
    [
        (request(ONNX, "auto", "cpu", ALL, 1), "device cpu requested"),
        (request(ONNX, "auto", "auto", ALL, 0), "no CUDA GPU found"),
        (request(ONNX, "auto", "auto", ("openvino",), 1), "no GPU runtime installed"),
        (request(ONNX, "auto", "auto", ALL, 2), "2 CUDA GPU found"),
        (request(ONNX, "torch", "cpu"), "as requested"),
        (request(CHECKPOINT, "auto", "cpu"), "the model is a checkpoint"),
    ],
)
def test_reasons_in_words(requested: Request, reason: str) -> None:
    assert decide(RUNTIME_RULES, requested).reason.format(r=requested) == reason


def test_the_driver_is_not_asked_where_no_gpu_may_be_used() -> None:
    class WithoutDriver(FakeMachine):
        @property
        def gpu_count(self) -> int:  # type: ignore[override]
            raise AssertionError

        @gpu_count.setter
        def gpu_count(self, value: int) -> None: ...

    for path, runtime, device in [
        (ONNX, "auto", "cpu"),
        (OPENVINO, "auto", "auto"),
        (ONNX, "openvino", "auto"),
    ]:
        requested = Request(path, runtime, device, machine=WithoutDriver())  # type: ignore[arg-type]
        assert decide(RUNTIME_RULES, requested).runtime == "openvino"


GPU_ROWS = [
    ("no list of GPUs", "openvino", "cpu", (), ""),
    ("GPUs listed for the CPU", "openvino", "cpu", (0,), "openvino runs on the CPU here; leave it"),
    (
        "another GPU than the first for TensorRT",
        "tensorrt",
        "cuda",
        (0, 1),
        "--devices 0,1: tensorrt runs on the first GPU only",
    ),
    ("GPU number out of range", "onnxruntime", "cuda", (0, 2), "--devices 0,2: there are 2 GPUs"),
    ("GPUs that are there", "onnxruntime", "cuda", (0, 1, 1), ""),
    ("GPUs that are there", "tensorrt", "cuda", (0, 0), ""),
]


@pytest.mark.parametrize(("rule", "runtime", "device", "gpus", "message"), GPU_ROWS)
def test_lists_of_gpus(
    rule: str, runtime: str, device: str, gpus: tuple[int, ...], message: str
) -> None:
    requested = replace(request(ONNX, runtime, device, ALL, 2), gpus=gpus)
    assert first_match(GPU_RULES, requested).name == rule
    if not message:
        return decide(GPU_RULES, requested)
    with pytest.raises(RuntimeUnavailableError, match=message):
        decide(GPU_RULES, requested)


def test_every_rule_for_gpus_has_a_row_here() -> None:
    assert {row[0] for row in GPU_ROWS} == {rule.name for rule in GPU_RULES}


BF16_ROWS = [
    ("fp32", True, "openvino", True, "fp32", False),
    ("no bf16 variant", False, "openvino", True, "auto", False),
    ("no bf16 variant", False, "openvino", True, "bf16", False),
    ("OpenVINO on a CPU that computes in bf16", True, "openvino", True, "auto", True),
    ("OpenVINO on a CPU that computes in bf16", True, "openvino", True, "bf16", True),
    (
        "bf16 on a CPU that does not compute in it",
        True,
        "openvino",
        False,
        "bf16",
        "this CPU does not compute in it",
    ),
    ("bf16 on another runtime", True, "onnxruntime", True, "bf16", "bf16: onnxruntime is chosen"),
    ("bf16 of no use", True, "openvino", False, "auto", False),
    ("bf16 of no use", True, "onnxruntime", True, "auto", False),
]


@pytest.mark.parametrize(
    ("rule", "has_variant", "runtime", "cpu_has_bf16", "precision", "outcome"), BF16_ROWS
)
def test_when_the_bf16_variant_runs(
    rule: str,
    has_variant: bool,
    runtime: str,
    cpu_has_bf16: bool,
    precision: str,
    outcome: bool | str,
    tmp_path: Path,
) -> None:
    if has_variant:
        (tmp_path / "a.bf16.onnx").touch()
    machine = FakeMachine(computes_in_bf16=cpu_has_bf16)
    requested = Request(tmp_path / "a.onnx", runtime, "cpu", precision, machine=machine)  # type: ignore[arg-type]
    assert first_match(BF16_RULES, requested).name == rule
    if isinstance(outcome, bool):
        assert decide(BF16_RULES, requested) is outcome
        return
    with pytest.raises(RuntimeUnavailableError, match=outcome):
        decide(BF16_RULES, requested)


def test_every_rule_for_bf16_has_a_row_here() -> None:
    assert {row[0] for row in BF16_ROWS} == {rule.name for rule in BF16_RULES}
