"""The fused graph in every runtime against PyTorch, and the choice between runtimes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.inference import runtimes
from ctct.inference.contract import Prediction
from ctct.inference.model_file import ModelFile
from ctct.io.study import Study

ONNX, CHECKPOINT = ModelFile(Path("a.onnx")), ModelFile(Path("run/model.safetensors"))


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
    monkeypatch.setattr(runtimes, "cuda_devices", lambda: gpus)
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
        (CHECKPOINT, ("auto", "auto"), ["openvino"], RuntimeUnavailableError, "a checkpoint needs"),
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
    monkeypatch.setattr(runtimes, "cuda_devices", lambda: 0)
    with pytest.raises(error, match=message):
        runtimes.choose(model, *asked)


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
        "from ctct.inference import runtimes\n"
        "from ctct.inference.model_file import find_model\n"
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
