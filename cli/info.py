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
        typer.Argument(metavar="[PATH]...", help="List the scans there instead."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="'default', an .onnx or .engine file, or a folder that ctct train wrote."
        ),
    ] = "default",
    card: Annotated[
        bool, typer.Option("--card", help="Print the bundled model's card too.")
    ] = False,
) -> None:
    """Print versions, the runtimes and devices found, and what the model says of itself.

    Or, of every DICOM series in PATH, whether ctct predict takes it as short-axis cine and why not.
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

    from ctct.io.discover import survey

    found = survey(paths)
    for path in found.files:
        typer.echo(one_line(f"{path}: a file, taken"))
    for stack in found.stacks:
        typer.echo(one_line(f"{stack[0].parent}: {len(stack)} NIfTI slices, taken as one scan"))
    for path in found.labels:
        typer.echo(one_line(f"{path}: label map, not taken"))
    for one, reason in zip(found.series, found.reasons, strict=True):
        verdict = f"not taken: {reason}" if reason else f"taken{_doubts(one)}"
        first = one.first
        size = f"{len(one.slices)} slices of {one.phases} phases, {first.shape[0]}×{first.shape[1]}"
        typer.echo(
            one_line(f"{one.path}: series {first.number} {first.description!r}, {size}, {verdict}")
        )
        typer.echo(f"  --series {one.uids[0]}")


def _doubts(series: Series) -> str:
    from ctct.errors import InputError
    from ctct.io.dicom.stack import arrange

    try:
        notes = arrange(series).notes
    except InputError as error:
        return f", but cannot be used: {error}"
    return f" ({'; '.join(notes)})" if notes else ""
