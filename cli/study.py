"""``ctct study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from ctct.choices import Device, MethodName, Preset
from ctct.cli.options_from_settings import options_from
from ctct.training.config import TrainingConfig


@options_from(TrainingConfig, leave_out=("data", "preset", "method", "labelled", "seed"))
def study(
    overrides: dict[str, Any],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="Folder of patients (ACDC, nnU-Net or plain), or a packed file."
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of the study; a folder in it per run.")
    ] = Path("study"),
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Method of the runs, as of ctct train; repeatable. Without it, all of them.",
            autocompletion=lambda: list(get_args(MethodName)),
        ),
    ] = None,
    labelled: Annotated[
        list[int] | None, typer.Option("--labelled", min=1, help="Labelled patients; repeatable.")
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", help="Of every random draw; repeatable.")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Folder of labelled patients on which each finished run is scored once."),
    ] = None,
    preset: Annotated[
        Preset | None, typer.Option(help="Settings to start from, as for ctct train.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="JSON file with settings, as for ctct train.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many GPUs, or processes.")] = 1,
    ray: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Ray cluster whose nodes train the runs: auto, ray://HEAD:10001 or HEAD:6379.",
        ),
    ] = "",
    ray_cpus: Annotated[
        int, typer.Option(metavar="N", help="CPUs that each run takes on the cluster.")
    ] = 1,
) -> None:
    """Train and compare methods, numbers of labelled patients and seeds.

    Runs that are finished are kept, and one that was stopped goes on. Writes study.csv, study.md
    and curves.png.
    """
    from ctct.api.training import compare_methods as run
    from ctct.cli.progress import SpeedColumn, bar
    from ctct.errors import EXIT_SOME_FAILED

    def announce(name: str, number: int, runs: int) -> None:
        typer.echo(f"run {number} of {runs}: {name}", err=True)

    with bar("steps", SpeedColumn(), hidden=bool(ray)) as observe:
        table, failed = run(
            data,
            out,
            methods=methods or (),
            labelled=labelled or (3, 7),
            seeds=seeds or (0,),
            test=test,
            preset=preset,
            config=config,
            device=device,
            devices=devices,
            observe=observe,
            on_run=announce,
            ray=ray,
            ray_cpus=ray_cpus,
            **overrides,
        )
    typer.echo(table)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)
