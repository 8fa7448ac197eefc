"""The graph of one network of a pair, cut out of the pair's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ctct.errors import ModelError, RuntimeUnavailableError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.variant import heart_crop_path
from ctct.storage import write_atomic

#: The networks of a pair, in the order of the graph.
NETWORKS = {"cnn": "CNN", "transformer": "Transformer"}


def can_cut() -> bool:
    """Whether what reads and writes graphs is installed."""
    return importlib.util.find_spec("onnx") is not None


def network_alone(model: ModelFile, network: str, path: Path) -> ModelFile:
    """The graph that says what one network of a pair says; no more is computed for it.

    Where the pair's graph reads the other network's class probabilities it is given this one's. So
    the mean is this one's answer and the disagreement is 0. The other network, of which nothing is
    read any more, is left out.

    Args:
        model: an ``.onnx`` file of a pair.
        network: a key of :data:`NETWORKS`.
        path: where to write the graph, ending in ``.onnx``; that of a window goes beside.

    Raises:
        ModelError: it is no pair in an ``.onnx`` file.
        RuntimeUnavailableError: the package onnx is not installed.
    """
    if not model.is_onnx:
        raise ModelError(f"{model.path}: not an .onnx file, its networks cannot be told apart")
    try:
        import onnx
    except ImportError as error:
        raise RuntimeUnavailableError(
            "each network alone needs the package onnx: pip install 'ctct[demo]'"
        ) from error
    whole = onnx.load(model.path)
    graph = whole.graph
    made_by = {name: node for node in graph.node for name in node.output}
    pair = _probabilities(graph, made_by)
    if pair is None:
        raise ModelError(f"{model.path}: holds no pair of networks; use one that does")
    own, other = pair if network == "cnn" else pair[::-1]
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == other:
                node.input[i] = own
    _drop_unread(graph, made_by)
    write_atomic(path, whole.SerializeToString())
    if model.heart_crop:
        network_alone(model.heart_crop, network, heart_crop_path(path))
    return find_model(path)


def _probabilities(graph: Any, made_by: dict[str, Any]) -> list[str] | None:
    """Names of the class probabilities of both networks: what the disagreement subtracts."""
    found = [
        list(node.input)
        for node in graph.node
        if node.op_type == "Sub"
        and all(name in made_by and made_by[name].op_type == "Softmax" for name in node.input)
    ]
    return found[0] if len(found) == 1 else None


def _drop_unread(graph: Any, made_by: dict[str, Any]) -> None:
    """Take away nodes and weights that no output is made from."""
    read: set[str] = set()
    waiting = [output.name for output in graph.output]
    while waiting:
        name = waiting.pop()
        if name not in read:
            read.add(name)
            waiting += made_by[name].input if name in made_by else ()
    nodes = [node for node in graph.node if read.intersection(node.output)]
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
