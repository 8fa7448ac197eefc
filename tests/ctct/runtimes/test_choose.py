"""The fused graph in every runtime against PyTorch, and the choice between runtimes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.io.study import Study
from ctct.model_files.model_file import ModelFile, find_model
from ctct.runtimes import choose as runtimes
from ctct.runtimes import cuda
from ctct.runtimes.base import Prediction

ONNX, CHECKPOINT = ModelFile(Path("a.onnx")), ModelFile(Path("run/model.safetensors"))
ENGINE, OPENVINO = ModelFile(Path("a.engine")), ModelFile(Path("a.xml"))


@pytest.fixture(scope="module")
def batch(cine: tuple[Study, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Three slices of the cine, cropped to an odd and oblong shape, each with its own spacing."""
    slices = np.ascontiguousarray(cine[0].voxels[0, 2:8:2, None, 3:-6, 10:-5])
    return slices, np.array([[1.4, 1.4], [1.2, 1.3], [1.6, 1.5]], np.float32)


@pytest.fixture(scope="module")
def expected(default_model: ModelFile, batch: tuple[np.ndarray, np.ndarray]) -> Prediction:
    return runtimes.load(default_model, "torch", "cpu")(*batch)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_labels_equal_pytorch_on_999_of_1000_pixels(
    name: str,
    default_model: ModelFile,
    batch: tuple[np.ndarray, np.ndarray],
    expected: Prediction,
) -> None:
    result = runtimes.load(default_model, name, "cpu")(*batch)
    assert result.labels.dtype == np.uint8
    assert result.labels.shape == batch[0][:, 0].shape
    assert set(np.unique(expected.labels)) == {0, 1, 2, 3}  # or the comparison would be empty
    assert np.mean(result.labels == expected.labels) >= 0.999
    assert np.abs(result.disagreement - expected.disagreement).max() < 0.01


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_slice_alone_and_in_company_gets_the_same_labels(
    name: str, default_model: ModelFile, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    runtime = runtimes.load(default_model, name, "cpu")
    slices, spacing_mm = batch
    together = runtime(slices, spacing_mm).labels
    alone = runtime(slices[1:2], spacing_mm[1:2]).labels
    assert np.mean(together[1] == alone[0]) >= 0.9999


@pytest.mark.parametrize(
    ("model", "asked", "installed", "gpus", "chosen"),
    [
        (ONNX, ("auto", "auto"), ["openvino", "onnxruntime", "torch"], 0, ("openvino", "cpu")),
        (ONNX, ("auto", "auto"), ["openvino", "onnxruntime"], 2, ("onnxruntime", "cuda")),
        (ONNX, ("auto", "auto"), ["openvino"], 1, ("openvino", "cpu")),
        (ONNX, ("auto", "cpu"), ["openvino", "onnxruntime"], 1, ("openvino", "cpu")),
        (ONNX, ("onnxruntime", "auto"), ["openvino", "onnxruntime"], 0, ("onnxruntime", "cpu")),
        (ONNX, ("torch", "cuda"), ["openvino", "torch"], 1, ("torch", "cuda")),
        (CHECKPOINT, ("auto", "auto"), ["openvino", "torch"], 0, ("torch", "cpu")),
        (OPENVINO, ("auto", "auto"), ["openvino", "onnxruntime"], 1, ("openvino", "cpu")),
        (
            ONNX,
            ("auto", "auto"),
            ["openvino", "onnxruntime", "tensorrt"],
            1,
            ("onnxruntime", "cuda"),
        ),
        (ONNX, ("tensorrt", "auto"), ["openvino", "tensorrt"], 1, ("tensorrt", "cuda")),
        (ONNX, ("onnxruntime-trt", "auto"), ["onnxruntime-trt"], 1, ("onnxruntime-trt", "cuda")),
        (ONNX, ("onnxruntime-trt", "auto"), ["onnxruntime-trt"], 0, ("onnxruntime-trt", "cpu")),
        (ENGINE, ("auto", "auto"), ["onnxruntime", "tensorrt"], 1, ("tensorrt", "cuda")),
        (ENGINE, ("tensorrt", "cuda"), ["onnxruntime", "tensorrt"], 1, ("tensorrt", "cuda")),
    ],
)
def test_choice(
    monkeypatch: pytest.MonkeyPatch,
    model: ModelFile,
    asked: tuple[str, str],
    installed: list[str],
    gpus: int,
    chosen: tuple[str, str],
) -> None:
    monkeypatch.setattr(runtimes, "available", lambda: installed)
    monkeypatch.setattr(cuda, "cuda_devices", lambda: gpus)
    name, device, why = runtimes.choose(model, *asked)
    assert (name, device) == chosen
    assert why


@pytest.mark.parametrize(
    ("model", "asked", "installed", "error", "message"),
    [
        (ONNX, ("tpu", "auto"), ["openvino"], ConfigError, "--runtime tpu: choose one of"),
        (ONNX, ("auto", "tpu"), ["openvino"], ConfigError, "--device tpu: choose one of"),
        (ONNX, ("torch", "auto"), ["openvino"], RuntimeUnavailableError, r"ctct\[export\]"),
        (ONNX, ("auto", "cuda"), ["openvino"], RuntimeUnavailableError, "no CUDA GPU"),
        (ONNX, ("auto", "auto"), [], RuntimeUnavailableError, "no runtime installed"),
        (CHECKPOINT, ("openvino", "auto"), ["openvino"], ModelError, "needs an .onnx file"),
        (
            OPENVINO,
            ("torch", "auto"),
            ["openvino", "torch"],
            ModelError,
            "what is in OpenVINO.s format",
        ),
        (OPENVINO, ("auto", "cuda"), ["openvino"], RuntimeUnavailableError, "no CUDA GPU|runs it"),
        (OPENVINO, ("auto", "auto"), ["torch"], RuntimeUnavailableError, "pip install .ctct"),
        (CHECKPOINT, ("auto", "auto"), ["openvino"], RuntimeUnavailableError, "a checkpoint needs"),
        (ONNX, ("tensorrt", "auto"), ["openvino"], RuntimeUnavailableError, r"ctct\[tensorrt\]"),
        (
            ONNX,
            ("tensorrt", "auto"),
            ["tensorrt"],
            RuntimeUnavailableError,
            "no CUDA GPU or driver",
        ),
        (
            ONNX,
            ("tensorrt", "cpu"),
            ["tensorrt"],
            RuntimeUnavailableError,
            "tensorrt runs on a GPU",
        ),
        (
            ONNX,
            ("onnxruntime-trt", "cpu"),
            ["onnxruntime-trt"],
            RuntimeUnavailableError,
            "onnxruntime-trt runs on a GPU",
        ),
        (CHECKPOINT, ("tensorrt", "auto"), ["tensorrt"], ModelError, "needs an .onnx file"),
        (ENGINE, ("auto", "auto"), ["openvino"], RuntimeUnavailableError, r"ctct\[tensorrt\]"),
        (
            ENGINE,
            ("auto", "auto"),
            ["tensorrt"],
            RuntimeUnavailableError,
            r"runs it on cuda \(no CUDA GPU",
        ),
        (ENGINE, ("auto", "cpu"), ["tensorrt"], RuntimeUnavailableError, r"\(--device cpu\)"),
        (ENGINE, ("openvino", "auto"), ["openvino"], ModelError, "use --runtime tensorrt"),
    ],
)
def test_what_cannot_be_had_is_said(
    monkeypatch: pytest.MonkeyPatch,
    model: ModelFile,
    asked: tuple[str, str],
    installed: list[str],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr(runtimes, "available", lambda: installed)
    monkeypatch.setattr(cuda, "cuda_devices", lambda: 0)
    with pytest.raises(error, match=message):
        runtimes.choose(model, *asked)


def test_either_tensorrt_counts_as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for installed, counts in [
        ({"tensorrt", "cuda.bindings"}, True),
        ({"tensorrt_rtx", "cuda.bindings"}, True),
        ({"tensorrt_rtx"}, False),
        ({"cuda.bindings"}, False),
    ]:
        monkeypatch.setattr(runtimes, "_is_installed", installed.__contains__)
        assert ("tensorrt" in runtimes.available()) is counts
    monkeypatch.undo()
    assert not runtimes._is_installed("no_such_package.inside")


def test_every_runtime_can_be_described() -> None:
    assert set(runtimes.DISTRIBUTIONS) == set(runtimes.PACKAGES)
    for name in runtimes.available():
        assert runtimes.describe(name)[0].isdigit()


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
        runtime = runtimes.load(default_model, name)
    assert (runtime.name, runtime.device) == (name, "cpu")
    wanted = "TensorRT" if name.endswith("trt") else "CUDA"
    assert caplog.messages == [
        f"ONNX Runtime could not start {wanted}; running on the CPU instead",
        f"runtime {name} on cpu (cuda failed to start)",
    ]
    assert capsys.readouterr().out == ""  # that is where ctct predict --json writes
    assert np.mean(runtime(*batch).labels == expected.labels) >= 0.999


def test_gpus_that_are_not_there(default_model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "available", lambda: ["openvino", "onnxruntime", "tensorrt"])
    monkeypatch.setattr(cuda, "cuda_devices", lambda: 2)
    with pytest.raises(RuntimeUnavailableError, match="--devices 0,2: there are 2 GPUs"):
        runtimes.load(default_model, "onnxruntime", gpus=(0, 2))
    with pytest.raises(RuntimeUnavailableError, match="tensorrt runs on the first GPU alone"):
        runtimes.load(default_model, "tensorrt", gpus=(0, 1))
    with pytest.raises(RuntimeUnavailableError, match="openvino runs on the CPU here; leave it"):
        runtimes.load(default_model, "openvino", gpus=(0,))


def test_a_runtime_twice_on_one_gpu_says_the_same(
    default_model: ModelFile, batch: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(cuda, "cuda_devices", lambda: 1)
    once = runtimes.load(default_model, "onnxruntime")
    twice = runtimes.load(default_model, "onnxruntime", gpus=(0, 0))
    assert (twice.name, twice.device) == (once.name, once.device)
    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(lambda _: twice(*batch), range(3)):
            np.testing.assert_array_equal(found.labels, once(*batch).labels)


def test_options_of_tensorrt_inside_onnx_runtime() -> None:
    pytest.importorskip("onnxruntime")
    from ctct.model_files.engine_profile import EngineProfile
    from ctct.runtimes.onnx_runtime import tensorrt_options

    options = tensorrt_options(Path("/cache"), EngineProfile((1, 2, 4), (32, 64, 96)))
    assert options["trt_engine_cache_path"] == "/cache"
    assert options["trt_profile_min_shapes"] == "slices:1x1x32x32,spacing_mm:1x2"
    assert options["trt_profile_opt_shapes"] == "slices:2x1x64x64,spacing_mm:2x2"
    assert options["trt_profile_max_shapes"] == "slices:4x1x96x96,spacing_mm:4x2"


def test_one_line_says_which_runtime_and_why(
    default_model: ModelFile, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ctct"):
        runtimes.load(default_model, "openvino", "cpu")
    assert caplog.messages == ["runtime openvino on cpu (as asked)"]


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_nothing_is_collected_to_be_reported(name: str, tmp_path: Path) -> None:
    """Both keep an identifier and a queue in the home folder where their telemetry is on."""
    program = (
        "import numpy as np\n"
        "from ctct.runtimes import choose as runtimes\n"
        "from ctct.model_files.model_file import find_model\n"
        f"runtime = runtimes.load(find_model(), {name!r}, 'cpu')\n"
        "runtime(np.random.rand(1, 1, 64, 64).astype('f'), np.full((1, 2), 1.5, 'f'))\n"
    )
    # Without CI, which switches it off by itself.
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_damaged_model_is_a_model_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match=r"damaged\.onnx"):
        runtimes.load(ModelFile(path), name, "cpu")


def test_what_openvino_compiled_is_kept_for_the_next_start(
    default_model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    runtimes.load(default_model, "openvino", "cpu")
    (kept,) = (tmp_path / "openvino").glob("*.blob")
    written = kept.stat().st_mtime_ns
    runtimes.load(default_model, "openvino", "cpu")
    assert [p.stat().st_mtime_ns for p in (tmp_path / "openvino").glob("*.blob")] == [written]


def test_a_cache_that_cannot_be_written_is_done_without(
    default_model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path / "file"))
    assert runtimes.load(default_model, "openvino", "cpu").name == "openvino"


CTRL_C = """
import gc, signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ctct.runtimes.openvino_cpu import OpenVinoRuntime
first, second = (OpenVinoRuntime(Path(sys.argv[1])) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("arrived")
"""


def test_ctrl_c_arrives_after_models_that_ended_in_the_order_they_began() -> None:
    """With a Core for each, the process ended with a segmentation fault on CPUs with AMX."""
    command = [sys.executable, "-c", CTRL_C, str(find_model().path)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_heed_ctrl_c)
    assert (done.returncode, done.stdout) == (0, "arrived\n")


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
