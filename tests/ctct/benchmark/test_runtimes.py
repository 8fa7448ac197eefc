from __future__ import annotations

import pytest

from ctct.benchmark.runtimes import REFERENCE, RuntimeRow, runtime_speed
from ctct.benchmark.timing import Timing
from ctct.errors import ConfigError
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.machine import cpu_computes_in_bf16, installed_runtimes


def test_each_runtime_with_each_batch_after_its_reference(default_model: ModelFile) -> None:
    path = default_model.path
    rows = runtime_speed("default", [path], "cpu", batches=(1, 2), rounds=1)
    names = [f"{path} in fp32 on openvino, cpu"]
    if cpu_computes_in_bf16():
        names.append(f"{path} in bf16 on openvino, cpu")
    if "onnxruntime" in installed_runtimes():
        names.append(f"{path} in fp32 on onnxruntime, cpu")
    assert [row.timing.name for row in rows] == [REFERENCE, *names] * 2
    assert [row.timing.amount for row in rows] == [1] * (1 + len(names)) + [2] * (1 + len(names))
    ratios = [row.times_as_fast for row in rows if row.timing.name == REFERENCE]
    assert ratios == pytest.approx([1, 1])


def test_figures_of_a_row_by_hand() -> None:
    # 4 slices in 0.1, 0.2 and 0.4 s: 20 slices per second in the median round; the 95th percentile
    # lies nine tenths of the way from the second to the third.
    row = RuntimeRow(Timing("x", 4, (0.4, 0.1, 0.2)), times_as_fast=2.0)
    assert row.to_dict() == pytest.approx(
        {
            "name": "x",
            "batch": 4,
            "slices_per_s": 20.0,
            "ms_per_slice": 50.0,
            "call_p50_ms": 200.0,
            "call_p95_ms": 380.0,
            "times_as_fast": 2.0,
        }
    )


def test_an_empty_batch_is_refused(default_model: ModelFile) -> None:
    with pytest.raises(ConfigError, match="--batch must be at least 1, got 0"):
        runtime_speed("default", [default_model.path], batches=(0,))


def test_a_runtime_that_cannot_load_it_is_left_out(
    default_model: ModelFile, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")  # has no convolution in bf16 on a CPU
    caplog.set_level("INFO", "ctct")
    path = default_model.path.with_suffix(".bf16.onnx")
    rows = runtime_speed("default", [path], "cpu", batches=(1,), rounds=1)
    assert [row.timing.name for row in rows] == [REFERENCE, f"{path} in bf16 on openvino, cpu"]
    assert "onnxruntime left out: " in caplog.text
