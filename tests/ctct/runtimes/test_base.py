"""What every runtime must do, whichever it is."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ModelError
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.base import Prediction
from ctct.runtimes.choose import load_runtime, resolve


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_labels_equal_pytorch_on_999_of_1000_pixels(
    name: str,
    default_model: ModelFile,
    batch: tuple[np.ndarray, np.ndarray],
    expected: Prediction,
) -> None:
    result = load_runtime(resolve(default_model, name, "cpu", "fp32"))(*batch)
    assert result.labels.dtype == np.uint8
    assert result.labels.shape == batch[0][:, 0].shape
    assert set(np.unique(expected.labels)) == {0, 1, 2, 3}  # or the comparison would be empty
    assert np.mean(result.labels == expected.labels) >= 0.999
    assert np.abs(result.disagreement - expected.disagreement).max() < 0.01


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_slice_alone_and_in_company_gets_the_same_labels(
    name: str, default_model: ModelFile, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    runtime = load_runtime(resolve(default_model, name, "cpu", "fp32"))
    slices, spacing_mm = batch
    together = runtime(slices, spacing_mm).labels
    alone = runtime(slices[1:2], spacing_mm[1:2]).labels
    assert np.mean(together[1] == alone[0]) >= 0.9999


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_threads_that_share_it_get_the_same_labels(
    name: str, default_model: ModelFile, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    runtime = load_runtime(resolve(default_model, name, "cpu", "fp32"))
    slices, spacing_mm = batch
    alone = [runtime(slices[i : i + 1], spacing_mm[i : i + 1]).labels for i in range(3)]
    with ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(lambda i: runtime(slices[i : i + 1], spacing_mm[i : i + 1]), [0, 1, 2] * 4)
        )
    for i, prediction in enumerate(found):
        np.testing.assert_array_equal(prediction.labels, alone[i % 3])


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_nothing_is_collected_to_be_reported(name: str, tmp_path: Path) -> None:
    """Both keep an identifier and a queue in the home folder where their telemetry is on."""
    program = (
        "import numpy as np\n"
        "from ctct.runtimes.choose import load_runtime, resolve\n"
        f"runtime = load_runtime(resolve('default', {name!r}, 'cpu'))\n"
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
        load_runtime(resolve(ModelFile(path), name, "cpu", "fp32"))
