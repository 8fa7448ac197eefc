"""One run of a study."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ctct.datasets.collection import Volume
from ctct.datasets.layouts import read_collection
from ctct.errors import InputError
from ctct.models.checkpoint import load_checkpoint
from ctct.training.config import TrainingConfig
from ctct.training.resume import RESUME_FILE, read_state
from ctct.training.run import SPLIT_FILE
from ctct.training.study_result import Cell, Result
from ctct.training.trainer import train
from ctct.training.validation import score


def configure(config: TrainingConfig, cell: Cell) -> TrainingConfig:
    """The settings of one run.

    Raises:
        ConfigError: they make no sense.
    """
    return TrainingConfig.model_validate({**config.to_dict(), **asdict(cell)})


def read_test(config: TrainingConfig, test: Path) -> list[Volume]:
    """The labelled volumes of the test patients.

    Raises:
        InputError: there is none.
    """
    collection = read_collection(test, config.patients.label_order)
    volumes = [volume for volume in collection.volumes if volume.labels is not None]
    if not volumes:
        raise InputError(f"{test}: no labelled patient to test on")
    return volumes


def run_cell(
    config: TrainingConfig,
    folder: Path,
    cell: Cell,
    test: Sequence[Volume],
    device: str,
    devices: int,
    observe: Callable[[int, int], None],
) -> Result:
    """Train one run, or what is left of it, and score its weights."""
    run = folder / cell.name
    settings = configure(config, cell)
    is_begun = (run / RESUME_FILE).exists()
    if not is_begun or read_state(run)["step"] < settings.optimization.steps:
        train(settings, run, device=device, devices=devices, resume=is_begun, observe=observe)
    graph, description = load_checkpoint(run)
    return Result(
        **asdict(cell),
        split=json.loads((run / SPLIT_FILE).read_text("utf-8"))["method"],
        step=description.step,
        minutes=read_state(run)["seconds"] / 60,
        validation=description.validation_dice,
        test=score(graph.eval(), test) if test else {},
    )
