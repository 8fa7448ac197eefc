"""What a visitor may choose from."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path

import pytest

from ctct.errors import ConfigError, ModelError
from ctct.model_files.model_file import default_model_path
from ctct.runtimes.choose import resolve
from ctct.runtimes.machine import installed_runtimes

engines_module = pytest.importorskip("ctct.demo.engines")


def test_the_runtimes_found_can_be_chosen_but_not_torch() -> None:
    engines = engines_module.Engines()
    usable = {"openvino", "onnxruntime", "onnxruntime-trt", "tensorrt"}
    assert engines.first == resolve(engines.segmenter(engines.first).model).runtime
    assert set(engines.options) <= usable & set(installed_runtimes())
    assert engines.options[engines.first] == {
        "model": "default",
        "runtime": "auto",
        "device": "auto",
    }
    with pytest.raises(ConfigError, match="'torch': choose one of "):
        engines.segmenter("torch")


def test_several_models_are_told_apart_by_the_end_of_their_paths(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(default_model_path(), tmp_path / name / "model.onnx")
    paths = [str(tmp_path / name / "model.onnx") for name in ("a", "b")]
    engines = engines_module.Engines(["default", *paths], "openvino", "cpu")
    names = [name for name in engines.options if name.endswith(", openvino")]
    assert names == ["default, openvino", "a/model.onnx, openvino", "b/model.onnx, openvino"]
    assert str(engines.segmenter(names[2]).model.path) == paths[1]
    with pytest.raises(ModelError, match="no such model"):
        engines_module.Engines(["missing.onnx"])


def test_one_is_in_memory_at_a_time_and_a_network_is_one_too() -> None:
    pytest.importorskip("onnx")
    engines = engines_module.Engines()
    pair = weakref.ref(engines.segmenter(engines.first))
    assert engines.segmenter(engines.first) is pair()
    alone = engines.segmenter(engines.first, "cnn")
    gc.collect()
    assert pair() is None
    assert alone.model.path.name.endswith(".cnn.onnx")
    assert (
        alone.model.description["grid"]
        == engines.segmenter(engines.first).model.description["grid"]
    )
