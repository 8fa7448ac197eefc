from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from ctct.exporters.onnx_graph import export_model

from ctct.inference import runtimes
from ctct.inference.model_file import find_model
from ctct.models.checkpoint import ModelDescription, load_model, save_model
from ctct.models.networks import build_graph

CONFIG = {
    "swin": "nano",
    "grid_size": 64,
    "grid_spacing_mm": 3.0,
    "pretrained": False,
    "data": "/somewhere/private",
    "splits": "/somewhere/private.json",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run folder with random weights and the ONNX file made of it."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    graph = build_graph(CONFIG)
    graph.member_weights.copy_(torch.tensor([0.7, 0.3]))
    scores = {"cnn": 0.9, "transformer": 0.8, "ensemble": 0.91}
    save_model(folder, graph, ModelDescription(CONFIG, 5, (0.7, 0.3), scores))
    export_model(folder, folder / "pair.onnx", "random numbers", "CC0")
    return folder, folder / "pair.onnx"


def test_the_file_is_valid_and_has_the_contract_names_and_dynamic_sizes(
    exported: tuple[Path, Path],
) -> None:
    model = onnx.load(exported[1])
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version >= 20

    def shape(value: onnx.ValueInfoProto) -> list[object]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert {v.name: shape(v) for v in [*model.graph.input, *model.graph.output]} == {
        "slices": ["N", 1, "H", "W"],
        "spacing_mm": ["N", 2],
        "labels": ["N", "H", "W"],
        "disagreement": ["N", "H", "W"],
    }


def test_metadata_describes_the_model_and_tells_no_paths(exported: tuple[Path, Path]) -> None:
    description = find_model(exported[1]).description
    assert description["grid"] == {"size": 64, "spacing_mm": 3.0}
    assert description["member_weights"] == [0.7, 0.3]
    assert description["training_data"] == "random numbers"
    assert description["validation_dice"]["ensemble"] == 0.91
    assert "private" not in json.dumps(description)
    content = exported[1].read_bytes()
    assert str(Path(__file__).resolve().parents[2]).encode() not in content
    assert b"site-packages" not in content


def test_weights_are_stored_in_half_the_bytes_under_their_names(
    exported: tuple[Path, Path],
) -> None:
    folder, path = exported
    initialisers = {t.name: t for t in onnx.load(path).graph.initializer}
    weights = load_model(folder)[0].state_dict()
    missing = {n for n in weights if n not in initialisers and "num_batches_tracked" not in n}
    assert not missing
    kernel = initialisers["cnn.encoder.0.4.weight"]
    assert kernel.data_type == onnx.TensorProto.FLOAT16
    parameters = sum(w.numel() for w in weights.values())
    assert path.stat().st_size < 2.2 * parameters


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_every_runtime_agrees_with_the_checkpoint_at_sizes_it_was_not_traced_with(
    name: str, exported: tuple[Path, Path]
) -> None:
    folder, path = exported
    generator = np.random.default_rng(0)
    slices = generator.random((3, 1, 71, 53), np.float32) * 1000
    spacing_mm = np.array([[1.4, 1.4], [2.0, 1.1], [3.0, 3.5]], np.float32)
    expected = runtimes.load(find_model(folder), "torch", "cpu")(slices, spacing_mm)
    result = runtimes.load(find_model(path), name, "cpu")(slices, spacing_mm)
    assert np.mean(result.labels == expected.labels) >= 0.999
    assert np.abs(result.disagreement - expected.disagreement).max() < 0.005
