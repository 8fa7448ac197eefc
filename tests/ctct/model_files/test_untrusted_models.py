"""Models made to read files that are not theirs, or to run code when they are loaded."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctct.errors import ModelError
from ctct.model_files.model_file import find_model, read_onnx
from ctct.model_files.onnx_header import _CHILDREN

onnx = pytest.importorskip("onnx")


def external(location: str) -> Any:
    """A tensor whose numbers lie in another file."""
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def as_weights(graph: Any, tensor: Any) -> None:
    graph.initializer.append(tensor)


def as_constant(graph: Any, tensor: Any) -> None:
    graph.node.append(onnx.helper.make_node("Constant", [], ["w"], value=tensor))


def as_sparse(graph: Any, tensor: Any) -> None:
    graph.sparse_initializer.add().values.CopyFrom(tensor)


def in_a_branch(graph: Any, tensor: Any) -> None:
    branch = onnx.helper.make_graph([], "branch", [], [], [tensor])
    node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    graph.node.append(node)


def in_a_list(graph: Any, tensor: Any) -> None:
    graph.node.append(onnx.helper.make_node("Custom", [], ["y"], values=[tensor]))


def in_a_nested_branch(graph: Any, tensor: Any) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [])
    in_a_branch(inner, tensor)
    graph.node.append(onnx.helper.make_node("Loop", [], ["y"], body=inner))


def among_graphs(graph: Any, tensor: Any) -> None:
    branch = onnx.helper.make_graph([], "branch", [], [], [tensor])
    graph.node.append(onnx.helper.make_node("Custom", [], ["y"], branches=[branch]))


def as_sparse_attribute(graph: Any, tensor: Any) -> None:
    node = graph.node.add(op_type="Constant", output=["w"])
    attribute = node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.indices.CopyFrom(tensor)


PLACES = [
    *(as_weights, as_constant, as_sparse, in_a_branch),
    *(in_a_list, in_a_nested_branch, among_graphs, as_sparse_attribute),
]


def model_of(graph: Any) -> Any:
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {"grid": json.dumps({"size": 64})})
    return model


def write_model(path: Path, place: Callable[[Any, Any], None], location: str) -> Path:
    graph = onnx.helper.make_graph([], "graph", [], [])
    place(graph, external(location))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model_of(graph).SerializeToString())
    return path


REFUSED = r"m\.onnx: refers to other files .*hold all their weights"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["{}/secret", "../secret", "w.bin", ""])
def test_a_model_with_weights_in_another_file_is_refused(
    place: Callable[[Any, Any], None], location: str, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "m.onnx", place, location.format(tmp_path))
    with pytest.raises(ModelError, match=REFUSED):
        find_model(path)


@pytest.mark.parametrize(
    "location",
    [
        *("link", "hard_link", "linked_folder/secret", "a/../../secret", "gone", "/etc/passwd"),
        *(
            "C:\\\\secret",
            "\\\\\\\\host\\\\secret",
            "file:///etc/passwd",
            "w\0.bin",
            "*/_ORT_MEM_ADDR_/*",
        ),
    ],
)
def test_wherever_it_points_to(location: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(16))
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "link").symlink_to(secret)
    (folder / "hard_link").hardlink_to(secret)
    (folder / "linked_folder").symlink_to(tmp_path)
    with pytest.raises(ModelError, match=REFUSED):
        find_model(write_model(folder / "m.onnx", as_weights, location))


def in_training_info(model: Any, tensor: Any) -> None:
    model.training_info.add().initialization.initializer.append(tensor)


def in_a_function(model: Any, tensor: Any) -> None:
    as_constant(model.functions.add(name="f"), tensor)


def as_default_of_a_function(model: Any, tensor: Any) -> None:
    attribute = model.functions.add(name="f").attribute_proto.add(name="w")
    attribute.t.CopyFrom(tensor)


def location_alone(model: Any, tensor: Any) -> None:
    model.graph.initializer.add(name="w", data_location=onnx.TensorProto.EXTERNAL)


def entry_alone(model: Any, tensor: Any) -> None:
    model.graph.initializer.add(name="w").external_data.add(key="location", value="w.bin")


def compiled_engine(model: Any, tensor: Any) -> None:
    model.graph.node.add(op_type="EPContext", domain="com.microsoft")


@pytest.mark.parametrize(
    "add",
    [
        *(in_training_info, in_a_function, as_default_of_a_function),
        *(location_alone, entry_alone, compiled_engine),
    ],
)
def test_beside_the_graph_too(add: Callable[[Any, Any], None], tmp_path: Path) -> None:
    model = model_of(onnx.helper.make_graph([], "graph", [], []))
    add(model, external("w.bin"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=REFUSED):
        find_model(tmp_path / "m.onnx")


def test_every_field_with_a_tensor_is_looked_into() -> None:
    def paths(message: Any, seen: tuple[str, ...] = ()) -> set[tuple[str, int]]:
        """Kind of message and number of the fields that lead to a tensor."""
        found = set()
        for field in message.fields:
            kind = field.message_type
            if kind is None or kind.name in seen:
                continue
            inner = paths(kind, (*seen, message.name))
            if kind.name in ("TensorProto", "GraphProto", "AttributeProto", "NodeProto") or inner:
                found |= {(message.name, field.number)} | inner
        return found

    names = {
        **{"model": "ModelProto", "training": "TrainingInfoProto", "function": "FunctionProto"},
        **{"graph": "GraphProto", "node": "NodeProto", "attribute": "AttributeProto"},
        "sparse": "SparseTensorProto",
    }
    known = {(names[kind], number) for kind, fields in _CHILDREN.items() for number in fields}
    assert paths(onnx.ModelProto.DESCRIPTOR) <= known


def test_a_model_that_is_replaced_after_it_was_checked_is_checked_again(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from ctct.runtimes.openvino_cpu import OpenVinoRuntime

    path = tmp_path / "m.onnx"
    path.write_bytes(model_of(onnx.helper.make_graph([], "g", [], [])).SerializeToString())
    find_model(path)
    write_model(path, as_weights, "../secret")
    with pytest.raises(ModelError, match=REFUSED):
        OpenVinoRuntime(path)
    with pytest.raises(ModelError, match=REFUSED):
        read_onnx(path)


class Opens:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.ckpt", "m.pkl", "m.bin"])
def test_pickled_checkpoints_are_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Opens(tmp_path / "made")))
    with pytest.raises(ModelError, match="not a model; give an"):
        find_model(tmp_path / name)
    assert not (tmp_path / "made").exists()


def test_a_pickle_by_another_name_is_not_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from ctct.models.checkpoint import load_checkpoint

    content = pickle.dumps(Opens(tmp_path / "made"))
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="not a model of ctct"):
        load_checkpoint(tmp_path)
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="make one with ctct export"):
        find_model(tmp_path / "m.onnx")
    assert not (tmp_path / "made").exists()
    pickle.loads(content)  # the harm is real
    assert (tmp_path / "made").exists()
