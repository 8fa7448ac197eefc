"""``ctct average``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctct.cli.options import PAIR


def average(
    source: PAIR,
    other: Annotated[
        str, typer.Argument(metavar="OTHER", help="The same, of the pair that it started from.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the mean.")],
    share: Annotated[
        float, typer.Option(help="Share of the first one's weights, between 0 and 1.")
    ] = 0.5,
) -> None:
    """Write the mean of the weights of two trained pairs.

    A pair that was fine-tuned on scans from elsewhere loses some accuracy on those that it began
    with. The mean of its weights and the initial ones is often good on both. Measure several shares
    on validation data with ctct benchmark generalization.
    """
    from ctct.errors import ConfigError, missing_package

    if not 0 < share < 1:  # before PyTorch is imported
        raise ConfigError(f"--share {share:g}: must be more than 0 and less than 1")
    try:
        from ctct.models.averaging import write_average
    except ModuleNotFoundError as error:
        raise (missing_package(error, "train") or error) from error

    typer.echo(write_average(source, other, share, out))
