"""Which package is loaded, the targets it builds for, and which engines run with it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.sidecar import RTX, TENSORRT, EngineRecord, write_engine_record
from ctct.runtimes import cuda
from ctct.runtimes.cuda import Gpu
from ctct.runtimes.tensorrt import compatibility
from ctct.runtimes.tensorrt.compatibility import (
    TensorRTPackage,
    check_targets,
    find_mismatch,
    load_package,
    read_compatible_engine,
)

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
    monkeypatch.setattr(compatibility, "installed_packages", lambda: installed)
    monkeypatch.setattr(cuda, "cuda_devices", lambda: gpus)
    assert load_package(asked) == TensorRTPackage(taken, "10.9", MODULE)


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        (None, r"pip install .*\[tensorrt\]'"),
        (RTX, r"pip install .*\[tensorrt\]'"),
        (TENSORRT, "pip install tensorrt"),
    ],
)
def test_none_installed_names_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, remedy: str
) -> None:
    monkeypatch.setattr(compatibility, "installed_packages", lambda: [])
    with pytest.raises(RuntimeUnavailableError, match=rf"not installed; {remedy}"):
        load_package(asked)


def test_one_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, TENSORRT, SimpleNamespace(__version__="8.6.1"))
    monkeypatch.setattr(compatibility, "installed_packages", lambda: [TENSORRT])
    with pytest.raises(RuntimeUnavailableError, match=r"tensorrt 8\.6\.1: too old, expected 10"):
        load_package(TENSORRT)


def test_one_that_cannot_be_loaded_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(compatibility, "installed_packages", lambda: [TENSORRT])
    with pytest.raises(RuntimeUnavailableError, match=r"cannot be loaded \(libnvinfer"):
        load_package()


def test_refuses_an_unknown_package() -> None:
    with pytest.raises(ConfigError, match="choose tensorrt or tensorrt_rtx"):
        load_package("tensorflow")


def test_targets_become_the_constants_of_the_module() -> None:
    assert check_targets(TensorRTPackage(RTX, "1.0", MODULE), ("sm89", "sm80")) == [89, 80]
    assert check_targets(TensorRTPackage(TENSORRT, "10", MODULE), ()) == []


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
        check_targets(TensorRTPackage(package, "1.0", MODULE), targets)


def test_targets_of_the_installed_rtx() -> None:
    module = pytest.importorskip(RTX)
    assert {"sm80", "sm86", "sm89", "sm120"} <= set(compatibility.known_targets(module))


A4000, L4 = Gpu("NVIDIA RTX A4000", (8, 6)), Gpu("NVIDIA L4", (8, 9))
HERE, RTX_HERE = TensorRTPackage(TENSORRT, "10.9", None), TensorRTPackage(RTX, "1.7", None)
RECORD = EngineRecord(
    engine_sha256=hashlib.sha256(b"engine").hexdigest(),
    model_sha256="ab" * 32,
    package=TENSORRT,
    version="10.9",
    gpu=A4000.name,
    capability=A4000.capability,
    targets=(),
    precision="fp32",
    profile=EngineProfile((1, 2, 3), (32, 64, 96)),
    types={},
)
RTX_RECORD = replace(RECORD, package=RTX, version="1.7", gpu="", capability=None)


@pytest.mark.parametrize(
    ("record", "here", "gpu", "model", "reason"),
    [
        (RECORD, HERE, A4000, "ab" * 32, ""),
        (RECORD, HERE, A4000, None, ""),
        (
            RECORD,
            replace(HERE, version="10.8"),
            A4000,
            None,
            "tensorrt 10.9, here is tensorrt 10.8",
        ),
        (RECORD, RTX_HERE, A4000, None, "made with tensorrt 10.9, here is tensorrt_rtx 1.7"),
        (RECORD, HERE, L4, None, r"made for NVIDIA RTX A4000 (sm86), here is NVIDIA L4 (sm89)"),
        (RECORD, HERE, A4000, "cd" * 32, "made from model abababababab…, here is cdcdcdcdcdcd…"),
        (replace(RECORD, engine_sha256="0" * 64), HERE, A4000, None, "damaged: its sidecar names"),
        (RTX_RECORD, RTX_HERE, L4, None, ""),
        (
            RTX_RECORD,
            RTX_HERE,
            Gpu("T4", (7, 5)),
            None,
            "made for sm80 or newer, here is T4 (sm75)",
        ),
        (replace(RTX_RECORD, targets=("sm89",)), RTX_HERE, L4, None, ""),
        (replace(RTX_RECORD, targets=("sm89",)), RTX_HERE, A4000, None, "made for sm89, here is"),
        (replace(RTX_RECORD, targets=("sm89",)), RTX_HERE, None, None, ""),
    ],
)
def test_a_mismatch_names_both_sides(
    record: EngineRecord, here: TensorRTPackage, gpu: Gpu | None, model: str | None, reason: str
) -> None:
    found = find_mismatch(record, b"engine", here, gpu, model)
    assert reason in found
    assert bool(found) == bool(reason)


def test_an_engine_that_runs_here_is_read_with_its_record(tmp_path: Path) -> None:
    engine = tmp_path / "a.engine"
    engine.write_bytes(b"engine")
    write_engine_record(engine, RECORD)
    assert read_compatible_engine(engine, HERE, A4000) == (RECORD, b"engine")
    with pytest.raises(ModelError, match=r"a\.engine: made for .*; build it again with ctct exp"):
        read_compatible_engine(engine, HERE, L4)
    engine.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        read_compatible_engine(engine, HERE, A4000)
