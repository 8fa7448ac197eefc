"""Which TensorRT is taken, the targets it builds for, and where engines are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.model_files.sidecar import RTX, TENSORRT
from ctct.runtimes import cuda
from ctct.runtimes.tensorrt import compatibility as flavours
from ctct.runtimes.tensorrt.compatibility import Flavour, check_targets, find_flavour

MODULE = SimpleNamespace(
    __version__="10.9",
    ComputeCapability=SimpleNamespace(
        __members__={"NONE": 0, "CURRENT": -1, "SM120": 120, "SM80": 80, "SM89": 89}
    ),
)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TENSORRT, RTX):
        monkeypatch.setitem(sys.modules, name, MODULE)


@pytest.mark.parametrize(
    ("installed", "gpus", "asked", "taken"),
    [
        ([TENSORRT, RTX], 1, None, TENSORRT),
        ([TENSORRT, RTX], 0, None, RTX),
        ([RTX], 1, None, RTX),
        ([TENSORRT], 0, None, TENSORRT),
        ([TENSORRT, RTX], 1, RTX, RTX),
    ],
)
def test_tensorrt_where_there_is_a_gpu_and_rtx_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    modules: None,
    installed: list[str],
    gpus: int,
    asked: str | None,
    taken: str,
) -> None:
    monkeypatch.setattr(flavours, "installed", lambda: installed)
    monkeypatch.setattr(cuda, "cuda_devices", lambda: gpus)
    assert find_flavour(asked) == Flavour(taken, "10.9", MODULE)


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        (None, r"pip install 'ctct\[tensorrt\]'"),
        (RTX, r"pip install 'ctct\[tensorrt\]'"),
        (TENSORRT, "pip install tensorrt"),
    ],
)
def test_none_installed_names_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, remedy: str
) -> None:
    monkeypatch.setattr(flavours, "installed", lambda: [])
    with pytest.raises(RuntimeUnavailableError, match=rf"not installed; {remedy}"):
        find_flavour(asked)


def test_one_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, TENSORRT, SimpleNamespace(__version__="8.6.1"))
    monkeypatch.setattr(flavours, "installed", lambda: [TENSORRT])
    with pytest.raises(RuntimeUnavailableError, match=r"tensorrt 8\.6\.1: too old, expected 10"):
        find_flavour(TENSORRT)


def test_one_that_cannot_be_loaded_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(flavours, "installed", lambda: [TENSORRT])
    with pytest.raises(RuntimeUnavailableError, match=r"cannot be loaded \(libnvinfer"):
        find_flavour()


def test_an_unknown_flavour() -> None:
    with pytest.raises(ConfigError, match="choose tensorrt or tensorrt_rtx"):
        find_flavour("tensorflow")


def test_targets_become_the_constants_of_the_module() -> None:
    assert check_targets(Flavour(RTX, "1.0", MODULE), ("sm89", "sm80")) == [89, 80]
    assert check_targets(Flavour(TENSORRT, "10", MODULE), ()) == []


@pytest.mark.parametrize(
    ("package", "targets", "message"),
    [
        (RTX, ("sm80", "sm90"), "--target sm90: choose from sm80, sm89, sm120"),
        (RTX, ("sm80", "sm80"), "name each target once"),
        (TENSORRT, ("sm80",), "tensorrt builds for the GPU it runs on only"),
    ],
)
def test_targets_that_cannot_be_had(package: str, targets: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_targets(Flavour(package, "1.0", MODULE), targets)


def test_targets_of_the_installed_rtx() -> None:
    module = pytest.importorskip(RTX)
    assert {"sm80", "sm86", "sm89", "sm120"} <= set(flavours.known_targets(module))
