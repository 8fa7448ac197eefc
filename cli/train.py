"""``ctct train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder in the ACDC layout.")],
    splits: Annotated[Path, typer.Option(help="JSON with the training and validation patients.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")],
    labelled: Annotated[
        int | None, typer.Option(help="Patients that keep their labels; default: all.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 6000,
    batch: Annotated[int, typer.Option(help="Slices a step.")] = 8,
    swin: Annotated[str, typer.Option(help="Size of the Swin-UNet: nano or tiny.")] = "nano",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start Swin from ImageNet weights (tiny).")
    ] = False,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the Transformer; needs a C++ compiler.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
) -> None:
    """Train a U-Net and a Swin-UNet that teach each other. Run again to go on where it stopped."""
    from ctct.training.config import TrainingConfig
    from ctct.training.trainer import train as run

    config = TrainingConfig(
        data=str(data),
        splits=str(splits),
        labelled=labelled,
        steps=steps,
        batch=batch,
        swin=swin,
        pretrained=pretrained,
        compile=compile,
        seed=seed,
    )
    scores = run(config, out, device)
    for name, dice in scores.items():
        typer.echo(f"validation Dice, {name}: {dice:.4f}")
