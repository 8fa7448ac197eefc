"""The graph of one network of a pair, cut out of the pair's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ctct.errors import ModelError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.model_files.model_file import ModelFile, find_model, read_onnx
from ctct.model_files.variant import heart_crop_path
from ctct.storage import write_atomic

#: The networks of a pair, in the order of the graph.
NETWORKS = {"cnn": "CNN", "transformer": "Transformer"}


def can_cut() -> bool:
    """Whether the package onnx is installed, which reads and writes graphs."""
    return importlib.util.find_spec("onnx") is not None


def network_alone(model: ModelFile, network: str, path: Path) -> ModelFile:
    """A graph with the answer of one network of a pair, without the other network.

    Where the pair's graph reads the class probabilities of the other network, this graph reads
    those of this network. So their mean is its answer and the disagreement is 0, and the other
    network, whose outputs are not used, is left out.

    Args:
        model: an ``.onnx`` file of a pair.
        network: a key of :data:`NETWORKS`.
        path: file to write, ending in ``.onnx``; the graph for heart crops is written beside it.

    Raises:
        ModelError: the model is no pair in an ``.onnx`` file.
        RuntimeUnavailableError: the package onnx is not installed.
    """
    if not model.is_onnx:
        raise ModelError(f"{model.path}: not an .onnx file, its networks cannot be told apart")
    try:
        import onnx
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"each network alone needs the package onnx; {how_to_install('demo')}"
        ) from error
    proto = onnx.load_model_from_string(read_onnx(model.path))
    graph = proto.graph
    producers = {name: node for node in graph.node for name in node.output}
    pair = _probabilities(graph, producers)
    if pair is None:
        raise ModelError(f"{model.path}: holds no pair of networks; use one that does")
    chosen, other = pair if network == "cnn" else pair[::-1]
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == other:
                node.input[i] = chosen
    _drop_unused(graph, producers)
    write_atomic(path, proto.SerializeToString())
    if model.heart_crop:
        network_alone(model.heart_crop, network, heart_crop_path(path))
    return find_model(path)


def _probabilities(graph: Any, producers: dict[str, Any]) -> list[str] | None:
    """Names of the class probabilities of both networks: the disagreement subtracts them."""
    pairs = [
        list(node.input)
        for node in graph.node
        if node.op_type == "Sub"
        and all(name in producers and producers[name].op_type == "Softmax" for name in node.input)
    ]
    return pairs[0] if len(pairs) == 1 else None


def _drop_unused(graph: Any, producers: dict[str, Any]) -> None:
    """Remove nodes and weights on which no output depends."""
    used: set[str] = set()
    waiting = [output.name for output in graph.output]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += producers[name].input if name in producers else ()
    nodes = [node for node in graph.node if used.intersection(node.output)]
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
