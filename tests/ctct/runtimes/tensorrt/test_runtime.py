"""The TensorRT runtime: without a GPU up to saying so, and on stand-ins beyond that."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trt_support import THRESHOLD, FakeCuda, FakeTensorRt, write_tiny_onnx

from ctct.errors import InputError, ModelError, RuntimeUnavailableError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.sidecar import EngineRecord, write_engine_record
from ctct.runtimes import cuda
from ctct.runtimes.choose import load_runtime, resolve
from ctct.runtimes.cuda import Gpu
from ctct.runtimes.tensorrt import runtime as tensorrt_engine
from ctct.runtimes.tensorrt.compatibility import Flavour
from ctct.runtimes.tensorrt.runtime import TensorRtRuntime
from ctct.runtimes.tensorrt.session import EngineSession

GPU = Gpu("NVIDIA L4", (8, 9))
PROFILE = EngineProfile((2, 3, 4), (32, 40, 64))


class Machine:
    """A machine with a GPU, as the runtime sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cuda = FakeCuda()
        self.trt = FakeTensorRt(self.cuda)
        self.built: list[EngineProfile] = []
        self.content = [b"engine"] * 9  # of the engines that are built, in turn

    def cached_engine(self, model: ModelFile, profile: EngineProfile, flavour: str) -> Path:
        assert flavour == "tensorrt"
        path = self.folder / "cached.engine"
        if not path.exists() or profile not in self.built:
            self.built.append(profile)
            path.write_bytes(self.content[len(self.built) - 1])
        return path

    def engine(self, **changes: Any) -> Path:
        """A bare engine with its sidecar."""
        path = self.folder / "bare.engine"
        path.write_bytes(b"engine")
        record = EngineRecord(
            engine_sha256=hashlib.sha256(b"engine").hexdigest(),
            model_sha256="0" * 64,
            package="tensorrt",
            version="10.9",
            gpu=GPU.name,
            capability=GPU.capability,
            targets=(),
            precision="fp32",
            profile=PROFILE,
            types={},
        )
        write_engine_record(path, replace(record, **changes))
        return path


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    flavour = Flavour("tensorrt", "10.9", machine.trt)
    monkeypatch.setattr(
        "ctct.runtimes.machine.installed_runtimes", lambda: ["onnxruntime", "tensorrt"]
    )
    monkeypatch.setattr(cuda, "cuda_devices", lambda: 1)
    monkeypatch.setattr(tensorrt_engine, "installed", lambda: ["tensorrt"])
    monkeypatch.setattr(tensorrt_engine, "find_flavour", lambda name=None: flavour)
    monkeypatch.setattr(tensorrt_engine, "current_gpu", lambda: GPU)
    monkeypatch.setattr(tensorrt_engine, "load_cuda", lambda: machine.cuda)
    monkeypatch.setattr(tensorrt_engine, "cached_engine", machine.cached_engine)
    return machine


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    return find_model(write_tiny_onnx(tmp_path / "tiny.onnx"))


def assert_right(runtime: Callable[..., Any], n: int, h: int = 40, w: int = 36) -> None:
    generator = np.random.default_rng(n)
    slices = generator.random((n, 1, h, w), np.float32)
    spacing_mm = generator.random((n, 2), np.float32)
    labels, disagreement = runtime(slices, spacing_mm)
    assert (labels.dtype, disagreement.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(labels, slices[:, 0] > THRESHOLD)
    expected = slices[:, 0] * spacing_mm.mean(1)[:, None, None]
    np.testing.assert_allclose(disagreement, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(cuda.cuda_devices() > 0, reason="is about a machine without a GPU")
def test_without_a_gpu_predict_says_so_in_one_line(
    ctct: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ModelFile
) -> None:
    from tests_support import write_scan

    write_scan(tmp_path / "scan.nii.gz")
    monkeypatch.setattr(
        "ctct.runtimes.machine.installed_runtimes", lambda: ["openvino", "tensorrt"]
    )
    outcome = ctct("predict", tmp_path, "-o", tmp_path / "out", "--runtime", "tensorrt")
    assert outcome.code == 5
    assert "no CUDA GPU or driver on this machine" in outcome.err.splitlines()[-1]
    with pytest.raises(RuntimeUnavailableError, match="use --runtime openvino"):
        TensorRtRuntime(model)


@pytest.mark.skipif(cuda.cuda_devices() > 0, reason="is about a machine without a GPU")
def test_info_describes_an_engine_that_cannot_run_here(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    engine = Machine(tmp_path).engine(description={"license": "CC0"})
    outcome = ctct("info", "--model", engine)
    assert outcome.code == 0
    assert "chosen by --runtime auto: none (" in outcome.out
    assert "license: CC0" in outcome.out


@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_any_batch_is_padded_and_split_to_what_the_engine_takes(
    n: int, machine: Machine, model: ModelFile
) -> None:
    assert_right(TensorRtRuntime(model, PROFILE), n)
    assert machine.trt.batches == {1: [2], 2: [2], 4: [4], 5: [4, 2], 9: [4, 4, 2]}[n]


def test_an_onnx_file_gets_a_wider_engine_where_slices_need_it(
    machine: Machine, model: ModelFile, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = TensorRtRuntime(model, PROFILE)
    with caplog.at_level(logging.INFO, "ctct"):
        assert_right(runtime, 2, 64, 64)
        assert_right(runtime, 2, 65, 40)
        assert_right(runtime, 2, 90, 96)
    assert machine.built == [PROFILE, replace(PROFILE, size=(32, 40, 96))]
    assert caplog.messages == ["slices of 65×40 pixels need a wider engine"]
    assert machine.cuda.open["stream"] == 1  # the first engine has given its memory back


def test_a_wider_engine_that_cannot_be_made_may_be_made_later(
    machine: Machine, model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = TensorRtRuntime(model, PROFILE)

    def broken(*arguments: object, **more: object) -> Path:
        raise RuntimeUnavailableError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(tensorrt_engine, "cached_engine", broken)
        with pytest.raises(RuntimeUnavailableError, match="no memory"):
            assert_right(runtime, 2, 65, 40)
    assert_right(runtime, 2, 65, 40)
    assert_right(runtime, 2)


def test_a_cached_engine_that_is_refused_is_built_once_more(
    machine: Machine, model: ModelFile
) -> None:
    machine.content = [b"of another driver", b"engine"]
    assert_right(TensorRtRuntime(model, PROFILE), 2)
    assert machine.built == [PROFILE, PROFILE]
    machine.content = [b"", b"", b"always refused", b"always refused"]
    (machine.folder / "cached.engine").unlink()
    with pytest.raises(ModelError, match="tensorrt cannot load it"):
        TensorRtRuntime(model, PROFILE)


def test_a_bare_engine_runs_within_its_profile(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ctct"):
        runtime = load_runtime(resolve(machine.engine()))
    assert caplog.messages == ["runtime tensorrt on cuda (the model is a TensorRT engine)"]
    assert_right(runtime, 5)
    with pytest.raises(InputError, match=r"slices are 40×65 pixels, bare\.engine takes 32 to 64"):
        assert_right(runtime, 5, 40, 65)
    assert machine.built == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"package": "tensorrt_rtx"}, "made with tensorrt_rtx 10.9, here is tensorrt 10.9"),
        ({"version": "10.8"}, r"bare\.engine: made with tensorrt 10\.8, here is tensorrt 10\.9"),
        (
            {"gpu": "NVIDIA T4", "capability": (7, 5)},
            r"made for NVIDIA T4 \(sm75\), here is NVIDIA",
        ),
        ({"engine_sha256": "0" * 64}, "damaged"),
    ],
)
def test_a_bare_engine_of_elsewhere_names_both_sides(
    changes: dict[str, Any], message: str, machine: Machine
) -> None:
    with pytest.raises(ModelError, match=message):
        TensorRtRuntime(find_model(machine.engine(**changes)))


def test_a_session_is_what_runs(machine: Machine, model: ModelFile) -> None:
    assert isinstance(TensorRtRuntime(model)._session, EngineSession)
