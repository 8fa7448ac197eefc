"""``ctct export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctct.choices import ExportPrecision
from ctct.cli.options import BOTH, MEMBERS, METADATA, MODEL, OUTPUT, PAIR, TTA, VERIFICATION

if TYPE_CHECKING:
    from ctct.exporters.export import Artifact

ENGINE = "TensorRT and Triton"


def export(
    source: PAIR,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Folder for the exported files.", rich_help_panel=OUTPUT),
    ],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="onnx, openvino, engine, triton, monai-bundle, with commas. Default: onnx.",
            autocompletion=lambda: ["onnx", "openvino", "engine", "triton", "monai-bundle"],
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    trt: Annotated[
        bool, typer.Option("--trt", help="The same as --format engine.", rich_help_panel=OUTPUT)
    ] = False,
    precision: Annotated[
        ExportPrecision,
        typer.Option(
            help="A lower precision is kept only where it passes verification.",
            rich_help_panel=MODEL,
        ),
    ] = "fp32",
    members: MEMBERS = BOTH,
    tta: TTA = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="Class probabilities as a third output.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    batch: Annotated[
        str,
        typer.Option(
            metavar="MIN,OPT,MAX",
            help="Slices per call of an engine or of Triton.",
            rich_help_panel=ENGINE,
        ),
    ] = "1,16,32",
    size: Annotated[
        str,
        typer.Option(
            metavar="MIN,OPT,MAX",
            help="Pixels per side that an engine takes.",
            rich_help_panel=ENGINE,
        ),
    ] = "32,256,512",
    target: Annotated[
        str,
        typer.Option(
            help="GPUs an engine is built for, as in sm80,sm89. Default: the GPU here.",
            rich_help_panel=ENGINE,
        ),
    ] = "",
    verify_on: Annotated[
        Path | None,
        typer.Option(
            help="Folder of scans to verify on. Default: synthetic cines.",
            rich_help_panel=VERIFICATION,
        ),
    ] = None,
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify",
            help="Write files without comparing them with PyTorch.",
            rich_help_panel=VERIFICATION,
        ),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of scans to calibrate int8 on. Default: synthetic cines.",
            rich_help_panel=VERIFICATION,
        ),
    ] = None,
    training_data: Annotated[
        str | None,
        typer.Option(
            help="Data the weights were trained on; stored in the file.", rich_help_panel=METADATA
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(help="License of the weights; stored in the file.", rich_help_panel=METADATA),
    ] = None,
) -> None:
    """Write a trained pair as files that other runtimes run.

    Each file is compared with the pair in PyTorch and float32. A file that differs by more than its
    precision allows is not written.
    """
    from ctct.api.functions import export as run
    from ctct.cli.progress import spinner

    metadata = {"training_data": training_data, "license": license}
    with spinner() as say:
        artifacts = run(
            source,
            out,
            formats=_names(formats, trt),
            precision=precision,
            members=tuple(members.split(",")),
            tta=tta,
            probabilities=probabilities,
            verify=not no_verify,
            verify_on=verify_on,
            calibration=calibration,
            batch=_numbers("--batch", batch),
            size=_numbers("--size", size),
            targets=tuple(filter(None, target.split(","))),
            metadata={key: value for key, value in metadata.items() if value is not None},
            on_stage=say,
        )
    for artifact in artifacts:
        typer.echo(_summary(artifact))


def _names(formats: str | None, trt: bool) -> tuple[str, ...]:
    names = formats.split(",") if formats else []
    if trt and "engine" not in names:
        names.append("engine")
    return tuple(names) or ("onnx",)


def _numbers(flag: str, text: str) -> tuple[int, int, int]:
    from ctct.errors import ConfigError

    try:
        minimum, optimum, maximum = map(int, text.split(","))
    except ValueError as error:
        raise ConfigError(f"{flag} {text}: give MIN,OPT,MAX as whole numbers") from error
    return minimum, optimum, maximum


def _summary(artifact: Artifact) -> str:
    path = artifact.path
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    if artifact.format == "openvino":
        files.append(path.with_suffix(".bin"))
    lines = [f"{path}: {sum(file.stat().st_size for file in files) / 1e6:.1f} MB"]
    for attempt in artifact.attempts:
        lines.append(f"  {attempt}")
    return "\n".join(lines)
