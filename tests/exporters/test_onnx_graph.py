from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from ctct.exporters.onnx_graph import save_onnx
from ctct.exporters.precision import Rung
from ctct.exporters.trained_pair import TrainedPair

from ctct.errors import ModelError, OutputError
from ctct.model_files.model_file import find_model
from ctct.model_files.variant import Variant
from ctct.models.checkpoint import load_checkpoint
from ctct.runtimes.choose import load_runtime, resolve


@pytest.fixture(scope="module")
def exported(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run folder with random weights and the ONNX file made of it."""
    path = tmp_path_factory.mktemp("onnx") / "pair.onnx"
    source = TrainedPair(small_run, Variant(), given={"training_data": "random numbers"})
    save_onnx(source.model(Rung("fp32")), path)
    return small_run, path


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
def test_variants_are_in_the_file_and_come_back_from_it(
    variant: Variant, small_run: Path, tmp_path: Path
) -> None:
    source, path = TrainedPair(small_run, variant), tmp_path / "variant.onnx"
    save_onnx(source.model(Rung("fp32")), path)
    restored, _ = load_checkpoint(path)
    assert restored.variant == variant
    slices = np.random.default_rng(0).random((2, 1, 71, 53), np.float32)
    spacing_mm = np.array([[1.4, 1.4], [2.0, 1.1]], np.float32)
    answers = [
        load_runtime(resolve(path, name, "cpu"))(slices, spacing_mm)
        for name in ("torch", "openvino", "onnxruntime")
    ]
    for answer in answers[1:]:
        assert np.mean(answer.labels == answers[0].labels) >= 0.999
        np.testing.assert_allclose(answer.disagreement, answers[0].disagreement, atol=0.005)
    assert np.isnan(answers[0].disagreement).all() == (len(variant.members) == 1)


def test_probabilities_are_a_third_output(small_run: Path, tmp_path: Path) -> None:
    source, path = TrainedPair(small_run, Variant(probabilities=True)), tmp_path / "p.onnx"
    save_onnx(source.model(Rung("fp32")), path)
    assert [value.name for value in onnx.load(path).graph.output] == [
        *("labels", "disagreement", "probabilities")
    ]
    slices = np.random.default_rng(0).random((1, 1, 64, 64), np.float32)
    spacing_mm = np.full((1, 2), 3.0, np.float32)
    for name in ("openvino", "onnxruntime", "torch"):  # which do without it
        assert load_runtime(resolve(path, name, "cpu"))(slices, spacing_mm).labels.any()


def test_a_converted_file_is_no_source(small_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    save_onnx(TrainedPair(small_run, Variant()).model(Rung("fp16")), path, store_half=False)
    with pytest.raises(
        ModelError, match=r"half\.onnx: holds weights converted to fp16; start from"
    ):
        load_checkpoint(path)


def test_a_folder_that_cannot_be_written(exported: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_onnx(onnx.load(exported[1]), tmp_path / "missing" / "m.onnx", store_half=False)
