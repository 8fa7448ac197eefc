from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ctct.exporters.onnx_graph import OPSET_BF16, save_onnx, to_onnx
from ctct.exporters.precision import (
    KEPT_IN_FLOAT32,
    GraphPrecision,
    precision_fallbacks,
    to_half,
    to_int8,
)
from ctct.model_files.variant import MEMBERS
from ctct.models.checkpoint import load_checkpoint
from ctct.runtimes.openvino_cpu import OpenVinoRuntime

HALF = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@pytest.fixture(scope="module")
def folded(small_run: Path) -> onnx.ModelProto:
    graph, _ = load_checkpoint(small_run)
    return to_onnx(graph, {"grid": {}}, fold=True, opset=OPSET_BF16)


@pytest.fixture(scope="module")
def inputs() -> tuple[np.ndarray, np.ndarray]:
    slices = np.random.default_rng(0).random((4, 1, 71, 53), np.float32) * 1000
    return slices, np.array([[1.4, 1.4], [2.0, 1.1], [3.0, 3.5], [3.0, 3.0]], np.float32)


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    types = {v.name: v.type.tensor_type.elem_type for v in values}
    return types | {t.name: t.data_type for t in inferred.initializer}


@pytest.mark.slow
def test_folding_removes_batch_normalization_and_changes_nothing(
    small_run: Path,
    folded: onnx.ModelProto,
    inputs: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
) -> None:
    graph, _ = load_checkpoint(small_run)
    unfolded = to_onnx(graph, {"grid": {}})
    assert "BatchNormalization" in {node.op_type for node in unfolded.graph.node}
    assert "BatchNormalization" not in {node.op_type for node in folded.graph.node}
    predictions = []
    for name, model in (("unfolded", unfolded), ("folded", folded)):
        save_onnx(model, tmp_path / f"{name}.onnx", fp16_weights=False)
        predictions.append(OpenVinoRuntime(tmp_path / f"{name}.onnx")(*inputs))
    np.testing.assert_allclose(predictions[1].disagreement, predictions[0].disagreement, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_in_the_types_of_the_networks_alone(
    precision: str, folded: onnx.ModelProto
) -> None:
    model = to_half(folded, precision, MEMBERS)
    types = element_types(model)
    inside = Counter()
    for node in model.graph.node:
        member = node.name.split("/")[0] in MEMBERS
        input_types = {types[name] for name in node.input if name in types}
        if node.op_type in KEPT_IN_FLOAT32 or (not member and node.op_type != "Cast"):
            assert HALF[precision] not in input_types, node.name
        elif node.op_type in ("Conv", "MatMul", "Gelu", "LeakyRelu"):
            assert TensorProto.FLOAT not in input_types, node.name
            inside[node.op_type] += 1
    assert inside["Conv"] == 43
    assert inside["MatMul"] >= 32
    assert types["disagreement"] == TensorProto.FLOAT
    assert types["labels"] == TensorProto.UINT8


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 0.01), ("bf16", 0.06)])
def test_half_precision_changes_the_output_a_little(
    precision: str,
    tolerance: float,
    folded: onnx.ModelProto,
    inputs: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
) -> None:
    save_onnx(folded, tmp_path / "full.onnx", fp16_weights=False)
    save_onnx(to_half(folded, precision, MEMBERS), tmp_path / "half.onnx", fp16_weights=False)
    full, half = (OpenVinoRuntime(tmp_path / f"{name}.onnx")(*inputs) for name in ("full", "half"))
    difference = np.abs(full.disagreement - half.disagreement).max()
    assert 0 < difference < tolerance
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]


def test_one_network_can_stay_in_float32(folded: onnx.ModelProto) -> None:
    types = element_types(to_half(folded, "fp16", ("cnn",)))
    for node in folded.graph.node:
        if node.op_type == "Conv":
            half = types[node.output[0]] == TensorProto.FLOAT16
            assert half is node.name.startswith("cnn/")


def test_the_original_model_is_not_changed(folded: onnx.ModelProto) -> None:
    before = folded.SerializeToString(deterministic=True)
    to_half(folded, "fp16", MEMBERS)
    assert folded.SerializeToString(deterministic=True) == before


@pytest.mark.slow
@pytest.mark.parametrize("symmetric", [True, False])
def test_int8(
    symmetric: bool, small_run: Path, inputs: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    pytest.importorskip("nncf")
    pytest.importorskip("onnxruntime")
    folded = to_onnx(load_checkpoint(small_run)[0], {"grid": {}}, fold=True)
    model = to_int8(folded, ("cnn",), [inputs], symmetric)
    save_onnx(model, tmp_path / "int8.onnx", fp16_weights=False)
    save_onnx(folded, tmp_path / "full.onnx", fp16_weights=False)
    stored = {t.name: t for t in model.graph.initializer}
    zeros = [
        onnx.numpy_helper.to_array(stored[node.input[2]])
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    ]
    assert len(zeros) >= 20
    if symmetric:  # as TensorRT requires
        assert {str(zero.dtype) for zero in zeros} == {"int8"}
        assert not any(zero.any() for zero in zeros)
    large = [
        t.name for t in stored.values() if t.data_type == TensorProto.INT8 and np.prod(t.dims) > 64
    ]
    assert large
    assert not any("transformer" in name for name in large)
    convolutions = [n for n in model.graph.node if n.op_type == "Conv" and n.name[:4] == "cnn/"]
    in_float = [n.input[1] in stored for n in convolutions]  # the others dequantize their weights
    assert in_float == [True] + [False] * (len(convolutions) - 2) + [True]
    full, int8 = (OpenVinoRuntime(tmp_path / f"{name}.onnx")(*inputs) for name in ("full", "int8"))
    assert 0 < np.abs(full.disagreement - int8.disagreement).max() < 0.3


def test_fallbacks_end_in_float32() -> None:
    assert [str(precision) for precision in precision_fallbacks("int8")] == [
        *("int8", "int8 in the cnn, fp16 in the other", "fp32")
    ]
    assert [str(precision) for precision in precision_fallbacks("int8", half="bf16")] == [
        *("int8", "int8 in the cnn, bf16 in the other", "fp32")
    ]
    assert precision_fallbacks("fp16", ("transformer",)) == (
        GraphPrecision("fp16", ("transformer",)),
        GraphPrecision("fp32", ("transformer",)),
    )
    assert precision_fallbacks("fp32") == (GraphPrecision("fp32"),)


@pytest.mark.parametrize(
    ("precision", "largest"),
    # float16 has 10 bits of fraction and exponents up to 15, bfloat16 7 bits and up to 127.
    [("fp16", (2 - 2**-10) * 2.0**15), ("bf16", (2 - 2**-7) * 2.0**127)],
)
@pytest.mark.filterwarnings("error")
def test_values_beyond_half_precision_are_clipped(precision: str, largest: float) -> None:
    limit = np.finfo(np.float32).max
    weights = numpy_helper.from_array(np.array([-limit, 1.5, limit], np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weights"], ["y"], "cnn/add")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
        [weights],
    )
    (stored,) = to_half(helper.make_model(graph), precision, MEMBERS).graph.initializer
    values = numpy_helper.to_array(stored).astype(np.float64)
    assert values.tolist() == [-largest, 1.5, largest]
