from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctct.errors import ModelError
from ctct.model_files.model_file import default_model_path
from ctct.runtimes.tensorrt.prepare_graph import prepare_graph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def test_computed_axes_become_a_constant(tiny: Path) -> None:
    model = onnx.ModelProto.FromString(prepare_graph(tiny.read_bytes()))
    assert not [node for node in model.graph.node if "axes" in node.output]
    (axes,) = (tensor for tensor in model.graph.initializer if tensor.name == "axes")
    assert onnx.numpy_helper.to_array(axes).tolist() == [1]
    onnx.checker.check_model(model, full_check=True)


def test_the_description_of_the_model_is_kept(tiny: Path) -> None:
    before, after = onnx.load(tiny), onnx.ModelProto.FromString(prepare_graph(tiny.read_bytes()))
    assert after.metadata_props == before.metadata_props
    assert (after.graph.input, after.graph.output) == (before.graph.input, before.graph.output)
    assert after.opset_import == before.opset_import


def test_nothing_that_depends_on_an_input_is_folded(tiny: Path) -> None:
    before = onnx.load(tiny)
    after = onnx.ModelProto.FromString(prepare_graph(tiny.read_bytes()))
    kept = [node.op_type for node in before.graph.node if node.op_type != "Reshape"]
    assert [node.op_type for node in after.graph.node if node.op_type != "Constant"] == kept


def test_the_folded_graph_of_the_bundled_model_gives_the_same_and_keeps_half_weights() -> None:
    ort = pytest.importorskip("onnxruntime")
    content = default_model_path().read_bytes()
    model = onnx.ModelProto.FromString(prepare_graph(content))
    if model.opset_import[0].version >= 20:
        for node in grid_samples(model):  # ONNX Runtime knows the name of operator set 20 alone
            node.attribute[0].s = b"linear"
    folded = model.SerializeToString()
    assert len(folded) < 1.1 * len(content)
    inputs = {
        "slices": np.random.default_rng(0).random((1, 1, 64, 48), np.float32),
        "spacing_mm": np.full((1, 2), 1.5, np.float32),
    }
    before, after = (
        ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, inputs)
        for graph in (content, folded)
    )
    assert (before[0] == after[0]).all()
    np.testing.assert_allclose(before[1], after[1], atol=1e-5)


def grid_samples(model: Any) -> list[Any]:
    """The nodes that sample, their mode as the first attribute."""
    nodes = [node for node in model.graph.node if node.op_type == "GridSample"]
    for node in nodes:
        node.attribute.sort(key=lambda attribute: attribute.name != "mode")
    return nodes


@pytest.mark.parametrize(
    ("opset", "mode", "prepared"),
    [
        (16, "bilinear", b"bilinear"),
        (20, "linear", b"bilinear"),
        (22, "linear", b"bilinear"),
        (20, "cubic", b"bicubic"),
        (22, "nearest", b"nearest"),
    ],
)
def test_interpolation_has_the_name_that_every_parser_knows(
    opset: int, mode: str, prepared: bytes
) -> None:
    model = sampling(opset, mode)
    after = onnx.ModelProto.FromString(prepare_graph(model.SerializeToString()))
    assert [node.attribute[0].s for node in grid_samples(after)] == [prepared]
    assert (
        interpolation(after)
        == {
            "bilinear": "LINEAR",
            "bicubic": "CUBIC",
            "nearest": "NEAREST",
        }[prepared.decode()]
    )


def sampling(opset: int, mode: str) -> Any:
    """A model of one GridSample."""
    shapes = {"x": [1, 1, 8, 8], "grid": [1, 4, 4, 2], "y": [1, 1, 4, 4]}
    x, grid, y = (onnx.helper.make_tensor_value_info(n, 1, s) for n, s in shapes.items())
    node = onnx.helper.make_node("GridSample", ["x", "grid"], ["y"], mode=mode)
    graph = onnx.helper.make_graph([node], "sampling", [x, grid], [y])
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def interpolation(model: Any) -> str:
    """How TensorRT-RTX's parser understands the one GridSample of a model."""
    trt = pytest.importorskip("tensorrt_rtx")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(model.SerializeToString())
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    (layer,) = (layer for layer in layers if layer.type == trt.LayerType.GRID_SAMPLE)
    layer.__class__ = trt.IGridSampleLayer
    return str(layer.interpolation_mode.name)


def test_refuses_a_file_that_is_not_onnx() -> None:
    with pytest.raises(ModelError, match=r"a\.onnx: not an ONNX file"):
        prepare_graph(b"no protocol buffer at all", "a.onnx")
