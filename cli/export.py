"""``ctct export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ctct.cli.options import BOTH, MEMBERS, TTA

if TYPE_CHECKING:
    from ctct.exporters.export import Artefact


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="RUN_OR_MODEL", help="Folder of ctct train, a file, or 'default'."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the exported files.")],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format", help="Of onnx, openvino, engine, triton, with commas; default: onnx."
        ),
    ] = None,
    trt: Annotated[bool, typer.Option("--trt", help="The same as --format engine.")] = False,
    precision: Annotated[
        str, typer.Option(help="fp32, fp16, bf16 or int8; kept only where the gate is passed.")
    ] = "fp32",
    members: MEMBERS = BOTH,
    tta: TTA = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Class probabilities as a third output.")
    ] = False,
    batch: Annotated[
        str, typer.Option(metavar="MIN,OPT,MAX", help="Slices a call of an engine or of Triton.")
    ] = "1,16,32",
    size: Annotated[
        str, typer.Option(metavar="MIN,OPT,MAX", help="Pixels a side that an engine takes.")
    ] = "32,256,512",
    target: Annotated[
        str,
        typer.Option(help="GPUs an engine is for, as in sm80,sm89; default: the one here."),
    ] = "",
    verify_on: Annotated[
        Path | None, typer.Option(help="Folder of scans for the gate; default: synthetic cines.")
    ] = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Write without proof that nothing changed.")
    ] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of scans for int8; default: synthetic cines.")
    ] = None,
    training_data: Annotated[
        str | None, typer.Option(help="What the weights were trained on; kept in the file.")
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="Licence of the weights; kept in the file.")
    ] = None,
) -> None:
    """Write a trained pair as files that other runtimes run, each proven to say the same.

    Every file is run beside the pair in PyTorch and float32; one that differs by more than its
    precision may is not written.
    """
    from ctct.cli.progress import Spinner
    from ctct.exporters.export import export as run
    from ctct.exporters.request import ExportRequest

    from ctct.model_files.engine_profile import EngineProfile
    from ctct.model_files.variant import Variant

    given = {"training_data": training_data, "license": license}
    request = ExportRequest(
        formats=_names(formats, trt),
        precision=precision,
        variant=Variant(tuple(members.split(",")), tta, probabilities),
        verify=not no_verify,
        verify_on=verify_on,
        calibration=calibration,
        metadata={key: value for key, value in given.items() if value is not None},
        profile=EngineProfile(_numbers("--batch", batch), _numbers("--size", size)),
        targets=tuple(filter(None, target.split(","))),
    )
    with Spinner() as spinner:
        artefacts = run(source, out, request, spinner.say)
    for artefact in artefacts:
        typer.echo(_summary(artefact))


def _names(formats: str | None, trt: bool) -> tuple[str, ...]:
    names = formats.split(",") if formats else []
    if trt and "engine" not in names:
        names.append("engine")
    return tuple(names) or ("onnx",)


def _numbers(flag: str, text: str) -> tuple[int, int, int]:
    from ctct.errors import ConfigError

    try:
        least, usual, most = map(int, text.split(","))
    except ValueError as error:
        raise ConfigError(f"{flag} {text}: give MIN,OPT,MAX as whole numbers") from error
    return least, usual, most


def _summary(artefact: Artefact) -> str:
    path = artefact.path
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    if artefact.format == "openvino":
        files.append(path.with_suffix(".bin"))
    lines = [f"{path}: {sum(file.stat().st_size for file in files) / 1e6:.1f} MB"]
    for attempt in artefact.attempts:
        lines.append(f"  {attempt}")
    return "\n".join(lines)
