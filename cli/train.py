"""``ctct train``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from ctct.choices import Device, Preset
from ctct.cli.options_from_settings import options_from
from ctct.training.config import TrainingConfig


@options_from(TrainingConfig, leave_out=("data", "preset"))
def train(
    overrides: dict[str, Any],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="Folder of patients (ACDC, nnU-Net or plain), a packed file, or results of ctct "
            "predict with corrected label maps.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")] = Path("run"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in that folder.")
    ] = False,
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="Settings to start from: the published method, ours, or ours for a CPU. Without "
            "it, best on a GPU, else small, whose values the defaults below are.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with settings, as a run's config.json. It changes the preset, and the "
            "options change it."
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="How many GPUs, or processes; leave it out under torchrun.")
    ] = 1,
) -> None:
    """Train a CNN and a Transformer that teach each other."""
    from ctct.api.training import train as run
    from ctct.cli.progress import SpeedColumn, bar
    from ctct.training.processes import is_first_process

    if not (is_first := is_first_process()):
        logging.getLogger("ctct").setLevel(logging.CRITICAL)
    with bar("steps", SpeedColumn(), hidden=not is_first) as observe:
        scores = run(
            data,
            out,
            preset=preset,
            config=config,
            resume=resume,
            device=device,
            devices=devices,
            observe=observe,
            **overrides,
        )
    for name, dice in scores.items() if is_first else ():
        typer.echo(f"validation Dice, {name}: {dice:.4f}")
