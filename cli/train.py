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
    grid_size: Annotated[int, typer.Option(help="Pixels a side the networks see.")] = 160,
    grid_spacing_mm: Annotated[float, typer.Option(help="Their spacing in mm.")] = 1.5,
    swin: Annotated[str, typer.Option(help="Size of the Swin-UNet: nano or tiny.")] = "nano",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start Swin from ImageNet weights (tiny).")
    ] = False,
    cnn_rate: Annotated[float, typer.Option(help="Peak learning rate of the CNN.")] = 2e-3,
    transformer_rate: Annotated[float, typer.Option(help="That of the Transformer.")] = 8e-4,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 0.02,
    cross_weight: Annotated[float, typer.Option(help="Of cross teaching, ramped up.")] = 0.1,
    ema_decay: Annotated[float, typer.Option(help="Of the average of the weights.")] = 0.998,
    validate_every: Annotated[int, typer.Option(help="Steps between validations.")] = 500,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the Transformer; needs a C++ compiler.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
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
        grid_size=grid_size,
        grid_spacing_mm=grid_spacing_mm,
        swin=swin,
        pretrained=pretrained,
        cnn_rate=cnn_rate,
        transformer_rate=transformer_rate,
        weight_decay=weight_decay,
        cross_weight=cross_weight,
        ema_decay=ema_decay,
        validate_every=validate_every,
        compile=compile,
        seed=seed,
    )
    for name, dice in run(config, out, device).items():
        typer.echo(f"validation Dice, {name}: {dice:.4f}")
