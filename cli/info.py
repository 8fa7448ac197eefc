"""``ctct info``."""

from __future__ import annotations

from typing import Annotated

import typer


def info(
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
    """Print versions, the runtimes and devices found, and what the model says of itself."""
    import platform
    from importlib import resources
    from importlib.metadata import version

    from ctct.errors import RuntimeUnavailableError
    from ctct.inference import runtimes
    from ctct.inference.model_file import find_model
    from ctct.inference.precision import in_precision

    typer.echo(f"ctct {version('ctct')}, Python {platform.python_version()}, {platform.platform()}")
    found = runtimes.available()
    for name in runtimes.PACKAGES:
        if name not in found:
            typer.echo(f"runtime {name}: not installed, {runtimes.install(name)}")
        else:
            typer.echo(f"runtime {name}: {runtimes.describe(name)}")
    typer.echo(f"CUDA devices: {runtimes.cuda_devices()}")
    file = find_model(model)
    try:
        file = in_precision(file)
        name, place, why = runtimes.choose(file)
        typer.echo(f"chosen by --runtime auto: {name} on {place} ({why})")
    except RuntimeUnavailableError as error:
        typer.echo(f"chosen by --runtime auto: none ({error})")
    typer.echo(f"model {file.path} (sha256 {file.sha256[:12]}…)")
    for key, value in file.description.items():
        if key != "config":
            typer.echo(f"  {key}: {value}")
    if card:
        typer.echo((resources.files("ctct.weights") / "MODEL_CARD.md").read_text())
