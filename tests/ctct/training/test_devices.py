from __future__ import annotations

import pytest
import torch

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.training import devices
from ctct.training.config import TrainingConfig, make_config
from ctct.training.devices import (
    default_preset,
    faster_cpu_precision,
    make_fabric,
    should_compile,
)


def config(**settings: object) -> TrainingConfig:
    return make_config("small", {"data": ".", **settings})


@pytest.mark.parametrize(
    ("device", "count", "error", "message"),
    [
        ("tpu", 1, ConfigError, "--device must be auto, cpu or cuda, got 'tpu'"),
        ("cpu", 0, ConfigError, "cannot be shared out evenly"),
        ("cpu", 3, ConfigError, "--devices 3: the batch of 8 cannot be shared out evenly"),
        ("cuda", 2, RuntimeUnavailableError, "--devices 2: 1 CUDA GPU found; use fewer"),
    ],
)
def test_refusals(
    device: str,
    count: int,
    error: type[Exception],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(error, match=message):
        make_fabric(device, count, config(batch=8))


@pytest.mark.parametrize(
    ("device", "available", "preset"),
    [("auto", True, "best"), ("auto", False, "small"), ("cpu", True, "small")],
)
def test_preset(device: str, available: bool, preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert default_preset(device) == preset


def test_the_precision_is_measured_without_a_trace() -> None:
    before = torch.get_rng_state()
    assert faster_cpu_precision(config(networks="unet,unet", grid_size=32)) in ("bf16", "fp32")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("settings", "device", "compiler", "expected"),
    [
        ({"steps": 1000}, "cuda", "/usr/bin/c++", True),
        ({"steps": 999}, "cuda", "/usr/bin/c++", False),
        ({"steps": 1000}, "cuda", None, False),
        ({"steps": 1000}, "cpu", "/usr/bin/c++", False),
        ({"steps": 1, "compile": True}, "cpu", None, True),
        ({"steps": 1000, "compile": False}, "cuda", "/usr/bin/c++", False),
    ],
)
def test_compilation_pays_on_long_runs_on_a_gpu(
    settings: dict[str, object],
    device: str,
    compiler: str | None,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices.shutil, "which", lambda name: compiler)
    assert should_compile(config(**settings), torch.device(device)) is expected
