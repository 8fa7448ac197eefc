"""``ctct info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ctct.cases.case import Case
    from ctct.io.study import Study


def info(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Describe the scans there instead."),
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

    Given PATH, describes its scans instead: size, spacing, orientation, the flags that ctct
    predict would raise before it segments them, and why it would not take a file or DICOM series.
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
    from ctct.runtimes.machine import PACKAGES, Machine, how_to_install_runtime, installed_version

    typer.echo(f"ctct {version('ctct')}, Python {platform.python_version()}, {platform.platform()}")
    machine = Machine()
    for name in PACKAGES:
        if name not in machine.runtimes:
            typer.echo(f"runtime {name}: not installed, {how_to_install_runtime(name)}")
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
    from ctct.cases.case import Case
    from ctct.cases.discover import list_scans
    from ctct.cli.messages import one_line
    from ctct.errors import InputError

    scans = list_scans(paths)
    if not (any(scans.places) or scans.other_formats):
        raise InputError(f"{', '.join(map(str, paths))}: no scan found there")
    for path in scans.files:
        _show(f"{path}: a file", Case(path, path.name))
    for stack in scans.stacks:
        folder = stack[0].parent
        _show(f"{folder}: {len(stack)} NIfTI slices, one scan", Case(folder, "", slices=stack))
    for path in scans.label_maps:
        typer.echo(one_line(f"{path}: label map, not taken"))
    for kind in scans.other_formats:
        typer.echo(one_line(f"{kind} (not taken)"))
    for series, reason in zip(scans.series, scans.rejections, strict=True):
        first, path = series.first, series.path
        rows, columns = first.shape
        size = f"{len(series.slices)} slices of {series.phases} phases, {rows}×{columns}"
        what = f"{path}: {series.label} {first.description!r}, {size}"
        if reason:
            typer.echo(one_line(f"{what}, not taken: {reason}"))
        else:
            _show(what, Case(path, "", series))
        typer.echo(f"  --series {series.uids[0]}")


def _show(what: str, case: Case) -> None:
    """Print what a scan is, its size and position, and its flags; or why it cannot be used."""
    from ctct.cases.read import read_case
    from ctct.cli.messages import one_line
    from ctct.errors import InputError
    from ctct.inference.segmentation import check_segmentable
    from ctct.prediction.quality_record import study_flags

    try:
        study = read_case(case)
        check_segmentable(study)
    except InputError as error:
        typer.echo(one_line(f"{what}, taken, but cannot be used: {error}"))
        return
    typer.echo(one_line(f"{what}, taken"))
    for line in (
        *_describe(study),
        *(f"{flag.level}: {flag.reason}" for flag in study_flags(study)),
    ):
        typer.echo(one_line(f"  {line}"))


def _describe(study: Study) -> tuple[str, str]:
    """Size and orientation of a scan."""
    from nibabel import aff2axcodes

    frames = "1 frame" if study.frames == 1 else f"{study.frames} frames"
    slices = "1 slice" if study.slices == 1 else f"{study.slices} slices"
    rows, columns = study.voxels.shape[2:]
    row_mm, column_mm = study.spacing_mm
    sizes = f"{rows}×{columns} pixels of {row_mm:.4g}×{column_mm:.4g} mm"
    apart = f"{study.slice_spacing_mm:.4g} mm apart".replace("nan mm", "an unknown distance")
    names = {"R": "right", "L": "left", "A": "anterior", "P": "posterior", "S": "head", "I": "feet"}
    ways = [names.get(code, "an unknown side") for code in aff2axcodes(study.affine)]
    return (
        f"{frames} of {slices}, {apart}, {sizes}",
        "by the header, columns go to {}, rows to {}, slices to {}".format(*ways),
    )
