"""``ctct export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that ctct train wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .onnx file to write.")],
    training_data: Annotated[
        str, typer.Option(help="What the weights were trained on; kept in the file.")
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights; kept in the file.")] = "",
) -> None:
    """Write a trained pair as one self-contained ONNX file that every runtime can run."""
    from ctct.exporters.onnx_graph import export_model

    export_model(run, out, training_data, licence)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
