from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import ModelFile
from ctct.runtimes import cuda
from ctct.runtimes.base import Prediction
from ctct.runtimes.choose import load_runtime, resolve

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-trt"])
def test_a_gpu_that_cannot_be_used_is_announced_and_nothing_printed(
    name: str,
    default_model: ModelFile,
    batch: tuple[np.ndarray, np.ndarray],
    expected: Prediction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ort = pytest.importorskip("onnxruntime")
    if cuda.cuda_devices() or "CUDAExecutionProvider" not in ort.get_available_providers():
        pytest.skip("is about ONNX Runtime for GPUs on a machine without one")
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    monkeypatch.setattr(cuda, "cuda_devices", lambda: 1)
    with caplog.at_level(logging.INFO, "ctct"):
        runtime = load_runtime(resolve(default_model, name))
    assert (runtime.name, runtime.device) == (name, "cpu")
    provider = "TensorRT" if name.endswith("trt") else "CUDA"
    assert caplog.messages == [
        f"ONNX Runtime could not start {provider}; running on the CPU instead",
        f"runtime {name} on cpu (cuda failed to start)",
    ]
    assert capsys.readouterr().out == ""  # that is where ctct predict --json writes
    assert np.mean(runtime(*batch).labels == expected.labels) >= 0.999


def test_a_runtime_twice_on_one_gpu_says_the_same(
    default_model: ModelFile, batch: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(cuda, "cuda_devices", lambda: 1)
    once = load_runtime(resolve(default_model, "onnxruntime"))
    twice = load_runtime(resolve(default_model, "onnxruntime", gpus=(0, 0)))
    assert (twice.name, twice.device) == (once.name, once.device)
    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(lambda _: twice(*batch), range(3)):
            np.testing.assert_array_equal(found.labels, once(*batch).labels)


def test_options_of_tensorrt_inside_onnx_runtime() -> None:
    pytest.importorskip("onnxruntime")
    from ctct.runtimes.onnx_runtime import tensorrt_options

    options = tensorrt_options(Path("/cache"), EngineProfile((1, 2, 4), (32, 64, 96)))
    assert options["trt_engine_cache_path"] == "/cache"
    assert "GridSample" in options["trt_op_types_to_exclude"]  # else it may be "nearest"
    assert options["trt_profile_min_shapes"] == "slices:1x1x32x32,spacing_mm:1x2"
    assert options["trt_profile_opt_shapes"] == "slices:2x1x64x64,spacing_mm:2x2"
    assert options["trt_profile_max_shapes"] == "slices:4x1x96x96,spacing_mm:4x2"
