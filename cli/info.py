"""``ctct info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ctct.io.dicom.series import Series


def info(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="List the scans there instead."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="'default', an .onnx or .engine file, or a folder that ctct train wrote."
        ),
    ] = "default",
    card: Annotated[
        bool, typer.Option("--card", help="Also print the bundled model's card.")
    ] = False,
) -> None:
    """Print versions, runtimes, devices and the model's description.

    Given PATH, lists its scans and DICOM series instead, and says why ctct predict would not
    segment a series.
    """
    if paths:
        _list_scans(paths)
        return
    import platform
    from importlib import resources
    from importlib.metadata import version

    from ctct.errors import RuntimeUnavailableError
    from ctct.model_files.model_file import find_model
    from ctct.runtimes.choose import resolve
    from ctct.runtimes.machine import PACKAGES, Machine, install_command, installed_version

    typer.echo(f"ctct {version('ctct')}, Python {platform.python_version()}, {platform.platform()}")
    machine = Machine()
    for name in PACKAGES:
        if name not in machine.runtimes:
            typer.echo(f"runtime {name}: not installed, {install_command(name)}")
        else:
            typer.echo(f"runtime {name}: {installed_version(name)}")
    typer.echo(f"CUDA devices: {machine.gpu_count}")
    try:
        plan = resolve(model, machine=machine)
        file = plan.model
        typer.echo(f"chosen by --runtime auto: {plan.runtime} on {plan.device} ({plan.reason})")
    except RuntimeUnavailableError as error:
        file = find_model(model)
        typer.echo(f"chosen by --runtime auto: none ({error})")
    typer.echo(f"model {file.path} (sha256 {file.sha256[:12]}…)")
    for key, value in file.description.items():
        if key != "config":
            typer.echo(f"  {key}: {value}")
    if card:
        typer.echo((resources.files("ctct.weights") / "MODEL_CARD.md").read_text())


def _list_scans(paths: list[Path]) -> None:
    from ctct.cli.messages import one_line
    from ctct.io.discover import list_scans

    scans = list_scans(paths)
    for path in scans.files:
        typer.echo(one_line(f"{path}: a file, taken"))
    for stack in scans.stacks:
        typer.echo(one_line(f"{stack[0].parent}: {len(stack)} NIfTI slices, taken as one scan"))
    for path in scans.label_maps:
        typer.echo(one_line(f"{path}: label map, not taken"))
    for series, reason in zip(scans.series, scans.rejections, strict=True):
        verdict = f"not taken: {reason}" if reason else f"taken{_irregularities(series)}"
        first, path = series.first, series.path
        rows, columns = first.shape
        size = f"{len(series.slices)} slices of {series.phases} phases, {rows}×{columns}"
        typer.echo(one_line(f"{path}: {series.label} {first.description!r}, {size}, {verdict}"))
        typer.echo(f"  --series {series.uids[0]}")


def _irregularities(series: Series) -> str:
    from ctct.errors import InputError
    from ctct.io.dicom.stack import arrange

    try:
        notes = arrange(series).notes
    except InputError as error:
        return f", but cannot be used: {error}"
    return f" ({'; '.join(notes)})" if notes else ""
