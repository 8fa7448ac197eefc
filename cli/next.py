"""``ctct next``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from ctct.cli.options import OUTPUT


def next(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder that ctct predict wrote.")
    ],
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, help="Patients to show.", rich_help_panel=OUTPUT)
    ] = 20,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write all of them to a CSV file.", rich_help_panel=OUTPUT
        ),
    ] = None,
) -> None:
    """List which patients are worth correcting first, and why.

    First those with the gravest verdict, then those whose predicted Dice is lowest. Patients that
    are corrected, in RESULTS/edited or in place, are left out.
    """
    from ctct.cli.messages import count_of, one_line
    from ctct.correction.ranking import candidates_csv, list_next
    from ctct.storage import write_atomic

    candidates, corrected = list_next(results)
    if csv:
        write_atomic(csv, candidates_csv(candidates))
    shown = candidates[:count]
    width = max((len(candidate.patient) for candidate in shown), default=0)
    for rank, c in enumerate(shown, 1):
        dice = "   ?" if math.isnan(c.dice) else f"{c.dice:.2f}"
        typer.echo(
            one_line(f"{rank:3}  {c.patient:{width}}  {c.verdict:6}  Dice {dice}  {c.reason}")
        )
    left = f"{count_of(len(candidates), 'patient')} to correct"
    left += f", {len(shown)} shown" if len(shown) < len(candidates) else ""
    left += f"; {corrected} corrected" if corrected else ""
    typer.echo(one_line(left + (f"; list in {csv}" if csv else "")))
