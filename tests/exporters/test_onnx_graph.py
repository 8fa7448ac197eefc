from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from ctct.errors import ModelError, OutputError
from ctct.exporters.onnx_graph import OPSET, save_onnx
from ctct.exporters.precision import GraphPrecision
from ctct.exporters.trained_pair import TrainedPair
from ctct.inference.crop import visible_crop
from ctct.model_files.model_file import find_model
from ctct.model_files.variant import Variant
from ctct.models.checkpoint import ModelDescription, load_checkpoint, save_checkpoint
from ctct.models.networks import build_graph
from ctct.runtimes.choose import load_runtime, resolve

pytestmark = pytest.mark.slow  # exports take ten seconds and more


@pytest.fixture(scope="module")
def exported(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run folder with random weights and the ONNX file made of it."""
    path = tmp_path_factory.mktemp("onnx") / "pair.onnx"
    pair = TrainedPair(small_run, Variant(), metadata={"training_data": "random numbers"})
    save_onnx(pair.to_onnx(GraphPrecision("fp32")), path)
    return small_run, path


def test_the_file_is_valid_and_has_the_interface_with_dynamic_sizes(
    exported: tuple[Path, Path],
) -> None:
    model = onnx.load(exported[1])
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version < 20
    modes = [a.s for n in model.graph.node if n.op_type == "GridSample" for a in n.attribute]
    assert b"bilinear" in modes and b"linear" not in modes  # TensorRT may take that as "nearest"

    def shape(value: onnx.ValueInfoProto) -> list[object]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert {v.name: shape(v) for v in [*model.graph.input, *model.graph.output]} == {
        "slices": ["N", 1, "H", "W"],
        "spacing_mm": ["N", 2],
        "labels": ["N", "H", "W"],
        "disagreement": ["N", "H", "W"],
    }


def test_metadata_describes_the_model_and_holds_no_paths(exported: tuple[Path, Path]) -> None:
    description = find_model(exported[1]).description
    assert description["grid"] == {
        **{"size": 64, "spacing_mm": 3.0},
        **{"stretch": False, "intensities": "z_score"},
    }
    assert description["member_weights"] == [0.7, 0.3]
    assert description["training_data"] == "random numbers"
    assert description["validation_dice"]["ensemble"] == 0.91
    assert "private" not in json.dumps(description)
    content = exported[1].read_bytes()
    assert str(Path(__file__).resolve().parents[2]).encode() not in content
    assert b"site-packages" not in content


def test_weights_are_stored_in_float16_under_their_names(
    exported: tuple[Path, Path],
) -> None:
    folder, path = exported
    initializers = {t.name: t for t in onnx.load(path).graph.initializer}
    weights = load_checkpoint(folder)[0].state_dict()
    missing = {n for n in weights if n not in initializers and "num_batches_tracked" not in n}
    assert not missing
    kernel = initializers["cnn.encoder.0.4.weight"]
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
    expected = load_runtime(resolve(folder, "torch", "cpu"))(slices, spacing_mm)
    result = load_runtime(resolve(path, name, "cpu"))(slices, spacing_mm)
    assert np.mean(result.labels == expected.labels) >= 0.999
    assert np.abs(result.disagreement - expected.disagreement).max() < 0.005


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_pair_that_stretches_slices_to_its_grid(name: str, tmp_path: Path) -> None:
    config = {"networks": ["unet", "swin_hybrid"], "swin": "nano", "pretrained": False}
    config |= {"grid_size": 64, "grid_spacing_mm": 3.0}
    config |= {"grid": "resize", "intensities": "unit_range"}
    graph = build_graph(config).eval()
    save_checkpoint(tmp_path, graph, ModelDescription(config, 5, (0.5, 0.5), {}))
    path = tmp_path / "pair.onnx"
    save_onnx(TrainedPair(tmp_path, Variant()).to_onnx(GraphPrecision("fp32")), path)
    slices = np.random.default_rng(0).random((2, 1, 71, 53), np.float32) * 1000
    spacing_mm = np.array([[1.4, 1.4], [2.0, 1.1]], np.float32)
    expected = load_runtime(resolve(tmp_path, "torch", "cpu"))(slices, spacing_mm)
    runtime = load_runtime(resolve(path, name, "cpu"))
    result = runtime(slices, spacing_mm)
    assert np.mean(result.labels == expected.labels) >= 0.999
    assert np.abs(result.disagreement - expected.disagreement).max() < 0.005
    again = runtime(slices, 3 * spacing_mm)
    np.testing.assert_array_equal(again.labels, result.labels)  # the spacing has no influence
    # and so a study must reach the graph whole
    description = find_model(path).description
    assert visible_crop((300, 200), (1.0, 1.0), description["grid"]).size == (300, 200)


def test_nodes_are_named_by_their_network(exported: tuple[Path, Path]) -> None:
    nodes = onnx.load(exported[1]).graph.node
    convolutions = [node.name.split("/")[0] for node in nodes if node.op_type == "Conv"]
    assert {name: convolutions.count(name) for name in set(convolutions)} == {
        "cnn": 23,
        "transformer": 20,
    }
    outside = {node.op_type for node in nodes if "/" not in node.name}
    assert "GridSample" in outside


@pytest.mark.parametrize(
    "variant",
    [Variant(members=("cnn",)), Variant(members=("transformer",), tta=True), Variant(tta=True)],
)
def test_variants_are_exported_and_restored(
    variant: Variant, small_run: Path, tmp_path: Path
) -> None:
    pair, path = TrainedPair(small_run, variant), tmp_path / "variant.onnx"
    save_onnx(pair.to_onnx(GraphPrecision("fp32")), path)
    restored, _ = load_checkpoint(path)
    assert restored.variant == variant
    slices = np.random.default_rng(0).random((2, 1, 71, 53), np.float32)
    spacing_mm = np.array([[1.4, 1.4], [2.0, 1.1]], np.float32)
    predictions = [
        load_runtime(resolve(path, name, "cpu"))(slices, spacing_mm)
        for name in ("torch", "openvino", "onnxruntime")
    ]
    torch_prediction = predictions[0]
    for prediction in predictions[1:]:
        assert np.mean(prediction.labels == torch_prediction.labels) >= 0.999
        np.testing.assert_allclose(
            prediction.disagreement, torch_prediction.disagreement, atol=0.005
        )
    assert np.isnan(torch_prediction.disagreement).all() == (len(variant.members) == 1)


def test_probabilities_are_a_third_output(small_run: Path, tmp_path: Path) -> None:
    pair, path = TrainedPair(small_run, Variant(probabilities=True)), tmp_path / "p.onnx"
    save_onnx(pair.to_onnx(GraphPrecision("fp32")), path)
    assert [value.name for value in onnx.load(path).graph.output] == [
        *("labels", "disagreement", "probabilities")
    ]
    slices = np.random.default_rng(0).random((1, 1, 64, 64), np.float32)
    spacing_mm = np.full((1, 2), 3.0, np.float32)
    for name in ("openvino", "onnxruntime", "torch"):  # none needs it
        assert load_runtime(resolve(path, name, "cpu"))(slices, spacing_mm).labels.any()


def test_a_converted_file_cannot_be_restored(small_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    save_onnx(
        TrainedPair(small_run, Variant()).to_onnx(GraphPrecision("fp16")), path, fp16_weights=False
    )
    with pytest.raises(
        ModelError, match=r"half\.onnx: holds weights converted to fp16; start from"
    ):
        load_checkpoint(path)


def test_a_folder_that_does_not_exist_is_refused(
    exported: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_onnx(onnx.load(exported[1]), tmp_path / "missing" / "m.onnx", fp16_weights=False)


@pytest.mark.filterwarnings("error")  # NumPy warns of an overflow in a cast
def test_weights_beyond_float16_stay_in_float32(tmp_path: Path) -> None:
    # 65504 is the largest float16.
    weights = {"inside": np.full(64, 65504.0), "beyond": np.full(64, -65505.0)}
    tensors = [
        onnx.numpy_helper.from_array(values.astype(np.float32), name)
        for name, values in weights.items()
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", [*weights], ["sum"])],
        "graph",
        [],
        [onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [64])],
        tensors,
    )
    opset = [onnx.helper.make_opsetid("", OPSET)]
    save_onnx(onnx.helper.make_model(graph, opset_imports=opset), tmp_path / "m.onnx")
    stored = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in onnx.load(tmp_path / "m.onnx").graph.initializer
    }
    assert {name: values.dtype for name, values in stored.items()} == {
        "inside": np.float16,
        "beyond": np.float32,
    }
    for name, values in stored.items():
        np.testing.assert_array_equal(values, weights[name])
