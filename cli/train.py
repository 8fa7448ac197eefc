"""``ctct train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ctct.cli.options_from_settings import options_from
from ctct.training.config import CONFIG_FILE, TrainingConfig


@options_from(TrainingConfig, leave_out=("data", "preset"))
def train(
    overrides: dict[str, Any],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]", help="Folder of patients (ACDC, nnU-Net or plain), or a packed file."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")] = Path("run"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in that folder.")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="[paper|best|small]",
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
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")
    ] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many GPUs, or processes.")] = 1,
) -> None:
    """Train a CNN and a Transformer that teach each other."""
    from ctct.cli.progress import SpeedColumn, bar
    from ctct.errors import ConfigError
    from ctct.model_files.model_file import find_model
    from ctct.training.config import make_config
    from ctct.training.devices import default_preset
    from ctct.training.trainer import train as run

    if data:
        overrides["data"] = data
    if initial_model := overrides.get("init_from"):
        overrides["init_from"] = find_model(initial_model).path
    if resume:
        if preset or config:
            raise ConfigError("--resume continues with the run's own settings; leave out --preset")
        config = out / CONFIG_FILE
        if not config.exists():
            raise ConfigError(f"{out}: there is no run to continue")
    elif data is None and config is None:
        raise ConfigError("DATA is missing: the folder of patients to train on")
    preset = preset or default_preset(device, announce=not resume)
    settings = make_config(preset, overrides, config)
    with bar("steps", SpeedColumn()) as observe:
        scores = run(settings, out, device=device, devices=devices, resume=resume, observe=observe)
    for name, dice in scores.items():
        typer.echo(f"validation Dice, {name}: {dice:.4f}")
