"""``ctct train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def train(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]", help="Folder of patients (ACDC, nnU-Net or plain), or a packed file."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")] = Path("run"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in that folder.")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(help="paper, best, or small (best for a CPU). Default: best on a GPU."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="JSON file with settings, as in a run's config.json.")
    ] = None,
    labelled: Annotated[
        int | None, typer.Option(help="Patients that keep their labels; default: all.")
    ] = None,
    labelled_list: Annotated[
        Path | None, typer.Option(help="File with these patients, a name a line.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Number of validation patients, or a file with their names.")
    ] = None,
    unlabelled: Annotated[
        list[Path] | None, typer.Option(help="Further folder of scans, used without labels.")
    ] = None,
    label_order: Annotated[
        str | None, typer.Option(help="Numbering of the labels: acdc, mnms, ukbb, monai.")
    ] = None,
    labelled_only: Annotated[
        bool, typer.Option("--labelled-only", help="Without cross teaching.")
    ] = False,
    networks: Annotated[
        str | None,
        typer.Option(help="Two of unet, swin_unet, swin_hybrid, timm:ENCODER, with a comma."),
    ] = None,
    heart_crop_size: Annotated[
        int | None,
        typer.Option(help="Pixels of a smaller grid around the heart, for half of the batches."),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(help="Run, model file or 'default' whose weights to start from."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Slices a step.")] = None,
    labelled_batch: Annotated[int | None, typer.Option(help="Labelled ones among them.")] = None,
    cnn_rate: Annotated[float | None, typer.Option(help="Peak learning rate, CNN.")] = None,
    transformer_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate, Transformer.")
    ] = None,
    cross_teaching_weight: Annotated[
        float | None, typer.Option(help="Weight of cross teaching, ramped up.")
    ] = None,
    validate_every: Annotated[int | None, typer.Option(help="Steps between validations.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, bf16 or fp32.")] = None,
    compile: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Use torch.compile.", rich_help_panel="Device"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random draw.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="How many of them.")] = 1,
) -> None:
    """Train a CNN and a Transformer that teach each other. Other settings: --config."""
    from ctct.cli.progress import SpeedColumn, bar

    from ctct.errors import ConfigError
    from ctct.model_files.model_file import find_model
    from ctct.training.config import make_config
    from ctct.training.devices import default_preset
    from ctct.training.trainer import CONFIG_FILE
    from ctct.training.trainer import train as run

    given: dict[str, Any] = {
        "data": data and str(data),
        "labelled": labelled,
        "labelled_list": labelled_list and str(labelled_list),
        "validation": validation,
        "unlabelled": unlabelled and tuple(map(str, unlabelled)),
        "label_order": label_order,
        "labelled_only": labelled_only or None,
        "networks": networks and tuple(networks.split(",")),
        "heart_crop_size": heart_crop_size,
        "init_from": init_from and str(find_model(init_from).path),
        "steps": steps,
        "batch": batch,
        "labelled_batch": labelled_batch,
        "cnn_rate": cnn_rate,
        "transformer_rate": transformer_rate,
        "cross_teaching_weight": cross_teaching_weight,
        "validate_every": validate_every,
        "save_every": save_every,
        "precision": precision,
        "compile": compile,
        "seed": seed,
    }
    if resume:
        if preset or config:
            raise ConfigError("--resume goes on with the run's own settings; leave out --preset")
        config = out / CONFIG_FILE
        if not config.exists():
            raise ConfigError(f"{out}: there is no run to go on with")
    elif data is None and config is None:
        raise ConfigError("DATA is missing: the folder of patients to train on")
    settings = make_config(
        preset or default_preset(device, announce=not resume),
        {name: value for name, value in given.items() if value is not None},
        config,
    )
    with bar("steps", SpeedColumn()) as observe:
        scores = run(settings, out, device=device, devices=devices, resume=resume, observe=observe)
    for name, dice in scores.items():
        typer.echo(f"validation Dice, {name}: {dice:.4f}")
