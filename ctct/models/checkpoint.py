"""A trained pair on disk, and back as a :class:`SegmentationGraph`.

``model.safetensors`` holds the averaged weights of both networks under ``cnn.`` and
``transformer.``, and as metadata the configuration, the member weights and the validation Dice.
An exported ONNX file holds the same under the same names, so it can be restored too; the statistics
of windows come from the file of their graph, if it lies beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.model_files.former_names import current_description
from ctct.model_files.variant import MEMBERS, Variant, heart_crop_path
from ctct.models.graph import SegmentationGraph
from ctct.models.networks import build_graph
from ctct.models.normalization import OTHER, for_other_grid

MODEL_FILE = "model.safetensors"

#: Counters of batch normalization, which inference does not use and an export does not hold.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class ModelDescription:
    """What a model file says of itself.

    Attributes:
        config: the training configuration, as plain values.
        step: optimizer steps taken.
        member_weights: share of the CNN and of the Transformer in the mean.
        validation_dice: mean Dice per case of ``cnn``, ``transformer`` and ``ensemble``.
    """

    config: dict[str, Any]
    step: int
    member_weights: tuple[float, float]
    validation_dice: dict[str, float]

    def to_metadata(self) -> dict[str, str]:
        """Each attribute as JSON under its own name."""
        return {name: json.dumps(value) for name, value in vars(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelDescription:
        """The inverse of :meth:`to_metadata`; other entries are ignored."""
        values = current_description(
            {name: json.loads(metadata[name]) for name in cls.__dataclass_fields__}
        )
        return cls(**{**values, "member_weights": tuple(values["member_weights"])})


def save_checkpoint(folder: Path, graph: SegmentationGraph, description: ModelDescription) -> None:
    """Write ``folder/model.safetensors``, whole or not at all."""
    partial = folder / f".{MODEL_FILE}.partial"
    tensors = {name: tensor.contiguous() for name, tensor in graph.state_dict().items()}
    save_file(tensors, partial, description.to_metadata())
    partial.replace(folder / MODEL_FILE)


def load_checkpoint(path: str | Path) -> tuple[SegmentationGraph, ModelDescription]:
    """The graph of a run folder, a ``.safetensors`` or an exported ``.onnx`` file, for evaluation.

    Raises:
        ModelError: the file is missing or is not one of ctct's.
        RuntimeUnavailableError: it is an ``.onnx`` file and the onnx package is not installed.
    """
    path = Path(path)
    path = path / MODEL_FILE if path.is_dir() else path
    try:
        tensors, metadata = (_read_onnx if path.suffix == ".onnx" else _read_safetensors)(path)
        if (precision := json.loads(metadata.get("precision", '"fp32"'))) != "fp32":
            raise ModelError(
                f"{path}: holds weights converted to {precision}; start from the run folder or "
                "from its fp32 .onnx file"
            )
        description = ModelDescription.from_metadata(metadata)
        beside = heart_crop_path(path)
        if path.suffix == ".onnx" and beside.exists():
            tensors |= for_other_grid(_read_onnx(beside)[0])
        has_heart_crop = any(name.startswith(OTHER) for name in tensors)
        config = description.config | {"pretrained": False}
        graph = build_graph(config if has_heart_crop else config | {"heart_crop_size": 0})
        graph.variant = Variant(**json.loads(metadata.get("variant", "{}")))
        graph.fit(json.loads(metadata["grid"])["size"] if "grid" in metadata else graph.grid.size)
        absent = set(MEMBERS) - set(graph.variant.members)
        if absent:
            absent.add("member_weights")
        kept = {  # what such a file does not hold, and such a graph does not use
            name: tensor
            for name, tensor in graph.state_dict().items()
            if name.endswith(_COUNTER) or name.split(".")[0] in absent
        }
        graph.load_weights(kept | tensors)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such model; train one with ctct train") from error
    except (
        *(SafetensorError, OSError, RuntimeError),
        *(KeyError, TypeError, ValueError, ConfigError),  # of metadata that make no sense
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: not a model of ctct ({reason})") from error
    return graph.eval(), description


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _read_onnx(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        import onnx  # only here: training from a run does without it
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"{path}: reading it needs the onnx package; pip install 'ctct[export]', or give the "
            "folder of a run"
        ) from error
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's DecodeError, without importing protobuf for its name
        if isinstance(error, OSError):
            raise
        raise ModelError(f"{path}: not an ONNX file ({error})") from error
    tensors = {
        initializer.name: torch.from_numpy(
            np.array(onnx.numpy_helper.to_array(initializer), dtype=np.float32)
        )
        for initializer in model.graph.initializer
        if initializer.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }
    return tensors, {entry.key: entry.value for entry in model.metadata_props}
