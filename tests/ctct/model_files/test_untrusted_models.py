"""Models made to read files that are not theirs, or to run code when they are loaded."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctct.errors import ModelError
from ctct.model_files.model_file import find_model

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


PLACES = [as_weights, as_constant, as_sparse, in_a_branch]


def write_model(path: Path, place: Callable[[Any, Any], None], location: str) -> Path:
    graph = onnx.helper.make_graph([], "graph", [], [])
    place(graph, external(location))
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {"grid": json.dumps({"size": 64})})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location",
    ["{}/secret", "../secret", "a/../../secret", "link", "gone", "", "*/_ORT_MEM_ADDR_/*"],
)
def test_weights_outside_the_folder_are_refused(
    place: Callable[[Any, Any], None], location: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model" / "a").mkdir(parents=True)
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    location = location.format(tmp_path)
    path = write_model(tmp_path / "model" / "m.onnx", place, location)
    with pytest.raises(ModelError, match=r"m\.onnx: its weights are in .*no file in its folder"):
        find_model(path)


@pytest.mark.parametrize("place", PLACES)
def test_weights_in_its_folder_are_taken(place: Callable[[Any, Any], None], tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(bytes(16))
    path = write_model(tmp_path / "m.onnx", place, "weights/w.bin")
    assert find_model(path).description == {"grid": {"size": 64}}


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
