from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ModelError
from ctct.model_files.model_file import default_model_path
from ctct.runtimes.tensorrt.constant_folding import fold_constants

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def test_computed_axes_become_a_constant(tiny: Path) -> None:
    model = onnx.ModelProto.FromString(fold_constants(tiny.read_bytes()))
    assert not [node for node in model.graph.node if "axes" in node.output]
    (axes,) = (tensor for tensor in model.graph.initializer if tensor.name == "axes")
    assert onnx.numpy_helper.to_array(axes).tolist() == [1]
    onnx.checker.check_model(model, full_check=True)


def test_the_description_of_the_model_is_kept(tiny: Path) -> None:
    before, after = onnx.load(tiny), onnx.ModelProto.FromString(fold_constants(tiny.read_bytes()))
    assert after.metadata_props == before.metadata_props
    assert (after.graph.input, after.graph.output) == (before.graph.input, before.graph.output)
    assert after.opset_import == before.opset_import


def test_nothing_that_depends_on_an_input_is_folded(tiny: Path) -> None:
    before = onnx.load(tiny)
    after = onnx.ModelProto.FromString(fold_constants(tiny.read_bytes()))
    kept = [node.op_type for node in before.graph.node if node.op_type != "Reshape"]
    assert [node.op_type for node in after.graph.node if node.op_type != "Constant"] == kept


def test_the_folded_graph_of_the_bundled_model_gives_the_same_and_keeps_half_weights() -> None:
    ort = pytest.importorskip("onnxruntime")
    content = default_model_path().read_bytes()
    folded = fold_constants(content)
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


def test_refuses_a_file_that_is_not_onnx() -> None:
    with pytest.raises(ModelError, match=r"a\.onnx: not an ONNX file"):
        fold_constants(b"no protocol buffer at all", "a.onnx")
