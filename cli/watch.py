"""``ctct watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctct.cli.options import (
    DEVICE,
    LABEL_MAPS,
    OUTPUT,
    RUNTIME,
    SERVICE_MODEL,
    SERVICE_PRECISION,
    SERVICE_STATUS_PORT,
)


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Each file or folder in it is segmented. Nothing in it is changed.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="Folder for the results, one folder per file or folder.",
            rich_help_panel=OUTPUT,
        ),
    ],
    quiet: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="A scan is complete once it has not changed for so long.",
        ),
    ] = 30,
    formats: Annotated[
        str, typer.Option("--format", help="As of ctct predict.", rich_help_panel=LABEL_MAPS)
    ] = "nifti",
    model: SERVICE_MODEL = "default",
    runtime: RUNTIME = "auto",
    device: DEVICE = "auto",
    precision: SERVICE_PRECISION = "auto",
    deadline: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=1, help="Longest time to segment a scan."),
    ] = 1800,
    keep_days: Annotated[
        float,
        typer.Option(min=0, help="How long reasons of failures are kept.", rich_help_panel=OUTPUT),
    ] = 7,
    status_port: SERVICE_STATUS_PORT = 0,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="At the start, try the scans that failed again.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Segment each scan that is put into a shared folder.

    What fails is kept apart in OUT/.ctct-watch/failed, with its reason. After a kill or a power
    cut, the same command goes on where it stopped.
    """
    from ctct.cli.service import serve
    from ctct.errors import ConfigError, InputError
    from ctct.node.settings import Limits, NodeSettings, SegmentingSettings

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"-o {out}: lies in {folder}; choose a folder outside")
    options = {"formats": tuple(formats.split(","))}
    serve(
        NodeSettings(
            out / ".ctct-watch",
            watched=folder,
            out=out,
            segmenting=SegmentingSettings(model, runtime, device, precision, options),
            limits=Limits(segmenting_s=deadline),
            quiet_s=quiet,
            keep_days=keep_days,
            status_port=status_port or None,
        ),
        retry_failed,
    )
