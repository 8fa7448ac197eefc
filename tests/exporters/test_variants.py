from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ctct.errors import ModelError
from ctct.exporters.variants import export_variant_once
from ctct.io.nifti import encode_study
from ctct.io.study import Study
from ctct.model_files.model_file import find_model
from ctct.model_files.variant import Variant
from ctct.models.checkpoint import load_checkpoint
from ctct.runtimes.openvino_cpu import OpenVinoRuntime


def test_a_variant_is_exported_once_and_segments_as_its_network(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    run, cnn = find_model(small_run), Variant(("cnn",))
    stages: list[str] = []
    exported = export_variant_once(run, cnn, on_stage=stages.append)
    assert stages
    assert exported.description["variant"] == {
        "members": ["cnn"],
        "tta": False,
        "probabilities": False,
    }

    again: list[str] = []
    assert export_variant_once(run, cnn, on_stage=again.append) == exported
    assert again == []

    graph = load_checkpoint(small_run)[0]
    slices = np.random.default_rng(0).random((2, 1, 80, 70), dtype=np.float32)
    spacing_mm = np.full((2, 2), 2.0, np.float32)
    graph.variant = cnn
    expected = graph(*map(torch.from_numpy, (slices, spacing_mm)))[0].numpy()
    labels = OpenVinoRuntime(exported.path, keep=False)(slices, spacing_mm).labels
    assert np.mean(labels == expected) > 0.999
    assert [p.name for p in (tmp_path / "variants").rglob(".*")] == []


def test_a_bf16_variant_cannot_be_exported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    bundled = find_model()
    bf16_variant = find_model(bundled.path.with_suffix(".bf16.onnx"))
    with pytest.raises(ModelError, match="holds weights converted to bf16"):
        export_variant_once(bf16_variant, Variant(("cnn",)))


def test_predict_with_one_network(
    small_run: Path,
    cine: tuple[Study, np.ndarray],
    ctct: Callable[..., Any],
    tmp_path: Path,
) -> None:
    for stem, content in encode_study(*cine).items():
        (tmp_path / f"{stem}.nii.gz").write_bytes(content)
    done = ctct("predict", tmp_path, "-o", tmp_path / "o", "--model", small_run, "--members", "cnn")
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "o" / "run.json").read_text())
    assert manifest["model_description"]["variant"]["members"] == ["cnn"]
    assert manifest["runtime"] == "openvino"
