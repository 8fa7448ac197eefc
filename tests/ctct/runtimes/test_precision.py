from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.labels import STRUCTURES
from ctct.model_files.model_file import ModelFile, find_model
from ctct.runtimes import precision
from ctct.runtimes.precision import bf16_path, cpu_computes_in_bf16, in_precision


@pytest.fixture(params=[True, False])
def able(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(precision, "cpu_computes_in_bf16", lambda: request.param)
    return bool(request.param)


def test_the_twin_is_taken_where_the_cpu_is_quicker_with_it(
    default_model: ModelFile, able: bool
) -> None:
    chosen = in_precision(default_model, device="cpu")
    assert chosen.path.name == ("ctct-acdc.bf16.onnx" if able else "ctct-acdc.onnx")
    assert in_precision(default_model, "fp32", device="cpu") is default_model
    if able:
        assert in_precision(default_model, "bf16", "openvino") == chosen
    else:
        with pytest.raises(RuntimeUnavailableError, match="this CPU does not compute in it"):
            in_precision(default_model, "bf16", "openvino")


def test_other_runtimes_get_the_model_itself(default_model: ModelFile, able: bool) -> None:
    pytest.importorskip("onnxruntime")
    assert in_precision(default_model, runtime="onnxruntime") is default_model
    with pytest.raises(RuntimeUnavailableError, match="bf16: onnxruntime is chosen"):
        in_precision(default_model, "bf16", runtime="onnxruntime")


def test_a_model_without_a_twin(tmp_path: Path, default_model: ModelFile) -> None:
    (tmp_path / "model.onnx").write_bytes(default_model.path.read_bytes())
    model = find_model(tmp_path / "model.onnx")
    assert in_precision(model) is model
    with pytest.raises(RuntimeUnavailableError, match=r"has no model\.bf16\.onnx beside it"):
        in_precision(model, "bf16")
    own = find_model(bf16_path(default_model.path))
    assert in_precision(own, "bf16") is own  # it is in bf16 already


def test_an_unknown_precision(default_model: ModelFile) -> None:
    with pytest.raises(ConfigError, match="--precision fp8: choose one of auto, fp32, bf16"):
        in_precision(default_model, "fp8")


def test_the_bundled_twin_is_of_the_same_pair(default_model: ModelFile) -> None:
    bf16_variant = find_model(bf16_path(default_model.path)).description
    assert bf16_variant["precision"] == "bf16"
    for name in ("grid", "member_weights", "validation_dice", "step", "config"):
        assert bf16_variant[name] == default_model.description[name]


@pytest.mark.skipif(not cpu_computes_in_bf16(), reason="this CPU does not compute in bfloat16")
def test_the_bundled_twin_keeps_to_the_gate(
    default_model: ModelFile, cine: tuple[Study, np.ndarray]
) -> None:
    study, _ = cine
    bf16_variant = find_model(bf16_path(default_model.path))
    full, half = (
        Segmenter.load(m, "openvino").segment(study, clean_up=False)
        for m in (default_model, bf16_variant)
    )
    dice = dice_by_structure(half.labels, full.labels)
    assert min(dice[s] for s in STRUCTURES) >= 0.998
