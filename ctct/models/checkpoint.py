"""A trained pair on disk, and back as a :class:`SegmentationGraph`.

``model.safetensors`` holds the averaged weights of both networks under ``cnn.`` and
``transformer.``, and as metadata the settings of the run, the member weights, the validation Dice,
and what the weights were trained on under which license, as far as that is known. An exported ONNX
file holds the same under the same names, so it can be restored too; the statistics for heart crops
come from the file of their graph, if that lies in the same folder.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ctct.errors import ConfigError, ModelError, OutputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.model_files.former_names import METADATA, current_description
from ctct.model_files.model_file import ModelFile, read_model, read_onnx
from ctct.model_files.variant import MEMBERS, Variant, heart_crop_path
from ctct.models.graph import SegmentationGraph
from ctct.models.names import TIMM
from ctct.models.networks import build_graph, grids
from ctct.models.normalization import OTHER_STATISTICS, for_other_grid

MODEL_FILE = "model.safetensors"

#: Counters of batch normalization, which inference does not use and an export does not hold.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class ModelDescription:
    """How a model was made, as its file tells.

    Attributes:
        config: settings of the training run by name, without groups.
        step: optimizer steps taken.
        member_weights: share of the CNN and of the Transformer in the mean.
        validation_dice: mean Dice per case of ``cnn``, ``transformer`` and ``ensemble``.
        training_data: what the weights were trained on, in words; empty where unknown.
        license: of the weights; empty where unknown.
    """

    config: dict[str, Any]
    step: int
    member_weights: tuple[float, float]
    validation_dice: dict[str, float]
    training_data: str = ""
    license: str = ""

    def to_metadata(self) -> dict[str, str]:
        """Each attribute as JSON under its own name."""
        return {name: json.dumps(value) for name, value in vars(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelDescription:
        """The inverse of :meth:`to_metadata`; other entries are ignored."""
        names = {*cls.__dataclass_fields__, *METADATA}
        values = current_description(
            {name: json.loads(text) for name, text in metadata.items() if name in names}
        )
        return cls(**{**values, "member_weights": tuple(values["member_weights"])})


def save_checkpoint(folder: Path, graph: SegmentationGraph, description: ModelDescription) -> None:
    """Write ``folder/model.safetensors``, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {name: tensor.contiguous() for name, tensor in graph.state_dict().items()}
    save_tensors(folder / MODEL_FILE, tensors, description.to_metadata())


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all, with the permissions of any new file.

    Raises:
        OutputError: it cannot be written; a former file of that name is left as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)  # of a killed run
        partial.touch()
        mode = partial.stat().st_mode
        save_file(tensors, partial, metadata)  # for the owner alone
        partial.chmod(mode)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):  # report the first error
            partial.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error})") from error


def read_run(path: Path, heart_crop: bool = True) -> ModelFile:
    """The ``.safetensors`` file of a run, with what it says of its grids.

    Args:
        path: of the file.
        heart_crop: also describe the grid of heart crops, if the run had one.

    Raises:
        ModelError: it is missing or not one of ctct's.
    """
    with _reporting_damage(path):
        with safe_open(path, framework="pt") as file:
            names, metadata = list(file.keys()), file.metadata() or {}
        grid, crop = grids(_config_of(names, ModelDescription.from_metadata(metadata)))
    run = replace(read_model(path), description={"grid": vars(grid)})
    if crop is None or not heart_crop:
        return run
    return replace(run, heart_crop=replace(run, description={"grid": crop.describe(grid)}))


def load_checkpoint(path: str | Path) -> tuple[SegmentationGraph, ModelDescription]:
    """The graph of a run folder, a ``.safetensors`` or an exported ``.onnx`` file, for evaluation.

    Raises:
        ModelError: the file is missing or is not one of ctct's.
        RuntimeUnavailableError: it is an ``.onnx`` file and the onnx package is not installed.
    """
    path = Path(path)
    path = path / MODEL_FILE if path.is_dir() else path
    with _reporting_damage(path):
        tensors, metadata = (_read_onnx if path.suffix == ".onnx" else _read_safetensors)(path)
        if (precision := json.loads(metadata.get("precision", '"fp32"'))) != "fp32":
            raise ModelError(
                f"{path}: holds weights converted to {precision}; start from the run folder or "
                "from its fp32 .onnx file"
            )
        description = ModelDescription.from_metadata(metadata)
        _refuse_former_timm(path, description, tensors)
        crop_path = heart_crop_path(path)
        if path.suffix == ".onnx" and crop_path.exists():
            tensors |= for_other_grid(_read_onnx(crop_path)[0])
        graph = build_graph(_config_of(tensors, description))
        graph.variant = Variant(**json.loads(metadata.get("variant", "{}")))
        if "grid" in metadata:
            graph.set_grid(json.loads(metadata["grid"])["size"])
        graph.load_weights(_unused_tensors(graph) | tensors)
    return graph.eval(), description


def _config_of(names: Iterable[str], description: ModelDescription) -> dict[str, Any]:
    """The settings of a graph with tensors of these names, whose weights are loaded."""
    config = description.config | {"pretrained": False}
    if not any(name.startswith(OTHER_STATISTICS) for name in names):
        config["heart_crop_size"] = 0
    return config


@contextlib.contextmanager
def _reporting_damage(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with a file.

    Raises:
        ModelError: it is missing or not one of ctct's.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such model; train one with ctct train") from error
    except (
        *(SafetensorError, OSError, RuntimeError),
        *(KeyError, TypeError, ValueError, ConfigError),  # metadata that make no sense
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: not a model of ctct ({reason})") from error


def _refuse_former_timm(
    path: Path, description: ModelDescription, tensors: Mapping[str, Tensor]
) -> None:
    """Refuse weights of the U-Net on timm's encoders that version 0.1 had.

    Raises:
        ModelError: the file holds them.
    """
    for member, network in zip(MEMBERS, description.config.get("networks", ()), strict=False):
        names = [name for name in tensors if name.startswith(f"{member}.")]
        if network.startswith(TIMM) and names and not names[0].startswith(f"{member}.unet."):
            raise ModelError(
                f"{path}: its {network} is of ctct 0.1, whose U-Net on encoders of timm was "
                "different; train it again, or use that version"
            )


def _unused_tensors(graph: SegmentationGraph) -> dict[str, Tensor]:
    """Tensors that a file may lack because inference with this variant does not use them."""
    unused = set(MEMBERS) - set(graph.variant.members)
    if unused:
        unused.add("member_weights")
    return {
        name: tensor
        for name, tensor in graph.state_dict().items()
        if name.endswith(_COUNTER) or name.split(".")[0] in unused
    }


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _read_onnx(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        import onnx  # here, because training from a run does without it
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"{path}: reading it needs the onnx package; {how_to_install('train')}, or give the "
            "folder of a run"
        ) from error
    content = read_onnx(path)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, without importing protobuf for its name
        raise ModelError(f"{path}: not an ONNX file ({error})") from error
    tensors = {
        initializer.name: torch.from_numpy(
            np.array(onnx.numpy_helper.to_array(initializer), dtype=np.float32)
        )
        for initializer in model.graph.initializer
        if initializer.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }
    return tensors, {entry.key: entry.value for entry in model.metadata_props}
