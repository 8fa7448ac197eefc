"""The training loop, top to bottom."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.measurement.overlap import dice_by_structure
from ctct.models.checkpoint import ModelDescription, build_graph, save_model
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import normalise
from ctct.training.augment import Augmentation
from ctct.training.cases import LabelledVolume, SliceSet, read_labelled, read_splits
from ctct.training.checkpoint import load_resume, save_resume
from ctct.training.config import TrainingConfig
from ctct.training.cross_teaching import cross_teaching_loss, supervised_loss
from ctct.training.schedules import ramp_up, warm_cosine

log = logging.getLogger(__name__)


def train(config: TrainingConfig, folder: str | Path, device: str = "cpu") -> dict[str, float]:
    """Train the pair, or go on where a run in ``folder`` was stopped.

    Writes ``config.json``, ``log.jsonl`` (a line a validation), ``resume.pt`` and the averaged
    weights, ``model.safetensors``, into ``folder``.

    Returns:
        Mean validation Dice per case of ``cnn``, ``transformer`` and ``ensemble`` at the end.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")

    patients, validation_patients = read_splits(config.splits)
    slices = SliceSet(
        list(read_labelled(config.data, patients)), labelled=patients[: config.labelled]
    )
    validation = list(read_labelled(config.data, validation_patients))
    log.info(
        "%d labelled and %d unlabelled slices, %d validation volumes",
        len(slices.labelled),
        len(slices.unlabelled),
        len(validation),
    )

    torch.manual_seed(config.seed)
    students = build_graph(config.to_dict()).to(device)
    # channels-last halves the time of the convolutions on a CPU.
    students.cnn.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(students).eval()
    if config.compile:
        students.transformer.compile()
    optimiser = torch.optim.AdamW(
        [
            {"params": students.cnn.parameters()},
            {"params": students.transformer.parameters()},
        ],
        weight_decay=config.weight_decay,
    )
    augmentation = Augmentation()
    generator = torch.Generator().manual_seed(config.seed)
    step = 0
    if state := load_resume(folder):
        students.load_state_dict(state["students"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        generator.set_state(state["generator"])
        step = state["step"]
        log.info("going on from step %d", step)
    if step >= config.steps:
        raise ConfigError(f"{folder}: this run has had its {step} steps; raise --steps to go on")

    started, first = time.monotonic(), step
    while step < config.steps:
        progress = step / config.steps
        rates = (config.cnn_rate, config.transformer_rate)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * warm_cosine(progress)

        numbers = slices.draw(config.batch, generator)
        raw, labels = slices.on_grid(
            numbers, students.grid, augmentation.geometry(len(numbers), generator)
        )  # (N, 1, S, S), (N, S, S)
        images = normalise(augmentation.intensity(raw, generator)).to(device)
        labels = labels.to(device)
        # Labelled slices come first. With every patient labelled the pair teaches each other on
        # the labelled slices as well: there is nothing else to learn from.
        known = len(numbers) // 2 if slices.unlabelled else len(numbers)
        taught = slice(known, None) if slices.unlabelled else slice(None)

        students.train()
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            logits_cnn = students.cnn(images.contiguous(memory_format=torch.channels_last))
            logits_transformer = students.transformer(images)
        logits_cnn, logits_transformer = logits_cnn.float(), logits_transformer.float()
        supervised = supervised_loss(logits_cnn[:known], labels[:known]) + supervised_loss(
            logits_transformer[:known], labels[:known]
        )
        crossed = cross_teaching_loss(logits_cnn[taught], logits_transformer[taught])
        loss = supervised + config.cross_weight * ramp_up(progress) * crossed
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(students.parameters(), 5.0)
        optimiser.step()
        step += 1
        update_average(averaged, students, min(config.ema_decay, (1 + step) / (10 + step)))

        if step % 50 == 0:
            rate = (step - first) / (time.monotonic() - started)
            log.info(
                "step %d/%d, supervised %.3f, crossed %.3f, %.2f steps/s",
                step,
                config.steps,
                supervised.item() / 2,
                crossed.item() / 2,
                rate,
            )
        if step % config.validate_every == 0 or step == config.steps:
            weights, scores = validate(averaged, validation)
            log.info("step %d: %s", step, ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
            description = ModelDescription(config.to_dict(), step, weights, scores)
            save_model(folder, averaged, description)
            state = {
                "students": students.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "generator": generator.get_state(),
                "step": step,
            }
            save_resume(folder, state)
            with (folder / "log.jsonl").open("a") as lines:
                lines.write(json.dumps({"step": step, **scores}) + "\n")
    return scores


@torch.no_grad()
def update_average(averaged: nn.Module, current: nn.Module, decay: float) -> None:
    """Move every floating-point tensor of ``averaged`` towards ``current``; copy the others."""
    own, new = averaged.state_dict(), current.state_dict()
    for name, tensor in own.items():
        if tensor.is_floating_point():
            tensor.lerp_(new[name], 1 - decay)
        else:
            tensor.copy_(new[name])


@torch.inference_mode()
def validate(
    graph: SegmentationGraph, volumes: Sequence[LabelledVolume]
) -> tuple[tuple[float, float], dict[str, float]]:
    """Mean Dice per case, at native resolution, of each network and of their weighted mean.

    Each network's weight is the inverse square of its error (1 - Dice), scaled to a sum of 1, as
    two measurements are averaged by their inverse variance: equals count alike, and a weak member
    does not spoil the mean. Sets the weights of ``graph``.
    """
    device = graph.member_weights.device
    spacings = [torch.tensor(v.spacing_mm, device=device).expand(len(v.voxels), 2) for v in volumes]
    members = [
        graph.member_probabilities(torch.from_numpy(v.voxels)[:, None].to(device), spacing_mm)
        for v, spacing_mm in zip(volumes, spacings, strict=True)
    ]  # a pair of (Z, C, S, S) for every volume

    def mean_dice(weights: tuple[float, float]) -> float:
        return float(
            np.mean(
                [
                    _mean_dice(graph, weights[0] * cnn + weights[1] * transformer, volume, spacing)
                    for (cnn, transformer), volume, spacing in zip(
                        members, volumes, spacings, strict=True
                    )
                ]
            )
        )

    scores = {"cnn": mean_dice((1, 0)), "transformer": mean_dice((0, 1))}
    cnn_error, transformer_error = 1 - scores["cnn"], 1 - scores["transformer"]
    squares = cnn_error**2 + transformer_error**2
    share = transformer_error**2 / squares if squares > 0 else 0.5
    weights = (share, 1 - share)
    scores["ensemble"] = mean_dice(weights)
    graph.member_weights.copy_(torch.tensor(weights))
    return weights, scores


def _mean_dice(
    graph: SegmentationGraph, probabilities: Tensor, volume: LabelledVolume, spacing_mm: Tensor
) -> float:
    """Mean Dice over structures of one volume, from probabilities (Z, C, S, S) on the grid."""
    size = (volume.labels.shape[1], volume.labels.shape[2])
    labels = graph.to_native(probabilities, size, spacing_mm).argmax(1).cpu().numpy()
    return float(np.mean(list(dice_by_structure(labels, volume.labels).values())))
