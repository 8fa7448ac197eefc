"""The mean of the weights of two trained pairs.

A pair that was fine-tuned on scans from elsewhere is less good on those it began with. The mean of
its weights and those that it began with is often better on both (Wortsman et al., Robust
fine-tuning of zero-shot models, CVPR 2022).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ctct.errors import ConfigError
from ctct.model_files.model_file import find_model
from ctct.model_files.variant import MEMBERS
from ctct.models.checkpoint import (
    MODEL_FILE,
    ModelDescription,
    load_checkpoint,
    save_checkpoint,
)
from ctct.models.graph import SegmentationGraph
from ctct.storage import prepare_folder


def average(
    source: str | Path, other: str | Path, share: float
) -> tuple[SegmentationGraph, ModelDescription]:
    """``share`` of the weights of ``source``, and the rest of those of ``other``.

    The mean makes sense where one of the two began with the weights of the other, or both with the
    same (``ctct train --init-from``). Settings, grids and description are those of ``source``,
    without its validation Dice, which no longer holds.

    Args:
        source: run folder, ``.safetensors`` or fp32 ``.onnx`` file, or "default".
        other: likewise, with the same networks.
        share: of ``source``, between 0 and 1.

    Raises:
        ConfigError: ``share`` is out of range, or the networks differ.
        ModelError: one of the two is not a model of ctct.
    """
    if not 0 < share < 1:
        raise ConfigError(f"--share {share:g}: must be more than 0 and less than 1")
    graph, description = load_checkpoint(find_model(source).path)
    second, _ = load_checkpoint(find_model(other).path)
    if graph.variant.members != MEMBERS or second.variant.members != MEMBERS:
        raise ConfigError(f"{source}, {other}: both must hold two networks")
    theirs = second.state_dict()
    mean = {}
    for name, tensor in graph.state_dict().items():
        if name not in theirs or theirs[name].shape != tensor.shape:
            raise ConfigError(f"{source}, {other}: their networks differ ({name})")
        # Counters of batch normalization are whole numbers.
        is_weight = tensor.is_floating_point()
        mean[name] = torch.lerp(theirs[name], tensor, share) if is_weight else tensor
    graph.load_state_dict(mean)
    cnn, transformer = graph.member_weights.tolist()
    return graph, replace(description, member_weights=(cnn, transformer), validation_dice={})


def write_average(source: str | Path, other: str | Path, share: float, folder: Path) -> Path:
    """Write the pair of :func:`average` into ``folder``, which ctct takes like that of a run.

    Returns:
        The file that was written.

    Raises:
        ConfigError: as for :func:`average`; or ``folder`` is that of a run.
        OutputError: the file cannot be written.
    """
    graph, description = average(source, other, share)
    prepare_folder(folder)
    if (folder / MODEL_FILE).exists():
        raise ConfigError(f"{folder}: holds {MODEL_FILE} already; choose another folder")
    save_checkpoint(folder, graph, description)
    return folder / MODEL_FILE
