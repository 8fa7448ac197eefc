"""``ctct report``."""

from __future__ import annotations

from typing import Annotated

import typer

from ctct.choices import Layout
from ctct.cli.options import OUTPUT


def report(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS",
            help="Folders that ctct predict wrote, or is writing; or URLs of them.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for tables and report; the folder of results where there is one.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    layout: Annotated[
        Layout,
        typer.Option(
            help="bids: also write BIDS derivatives, into the data set OUT.", rich_help_panel=OUTPUT
        ),
    ] = "ctct",
    parquet: Annotated[
        bool,
        typer.Option(
            "--parquet",
            help="Write each table as Parquet too; needs the extra cohort.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Write the tables and the report of results, also while they are made.

    Merges the shards of an index, whether they wrote into one folder or into several. Reads what
    ctct predict recorded of each case, and no label map.
    """
    from ctct.cli.messages import one_line
    from ctct.cli.predict import describe_patients
    from ctct.prediction.output import report_results

    merged, where = report_results([*dict.fromkeys(results)], out, layout, parquet)
    counts = [f"{merged.measured} measured"]
    counts += [f"{len(merged.failed)} failed"] if merged.failed else []
    parts = [", ".join(counts), *describe_patients(merged.summary)]
    typer.echo(one_line("; ".join((*parts, f"tables in {where}"))))
