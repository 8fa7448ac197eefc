"""``ctct index``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctct.choices import NameFrom
from ctct.cli.options import INPUT, OUTPUT


def index(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="NIfTI, MHA or NRRD files, DICOM in zips or folders, or folders of these; or URLs "
            "of them, as s3://bucket/folder.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Parquet file for the index.", rich_help_panel=OUTPUT),
    ],
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UID",
            help="SeriesInstanceUID to take, even if it does not look like a short-axis cine.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    name_from: Annotated[
        NameFrom,
        typer.Option(help="What a case is called after.", rich_help_panel=INPUT),
    ] = "path",
    deadline: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Longest time to read the headers of a zip, or of a file.",
            rich_help_panel=INPUT,
        ),
    ] = 120,
) -> None:
    """List the scans of a cohort in a file, for shards of ctct predict.

    One row per scan: where it is, what its results are called, size, time and a hash of its files,
    and its geometry. Needs the extra cohort.
    """
    from ctct.cases.index import write_index
    from ctct.cases.survey import Request
    from ctct.cli.messages import count_of, one_line
    from ctct.cli.progress import bar
    from ctct.storage import prepare_folder

    prepare_folder(out.absolute().parent)
    request = Request.of(inputs, tuple(series or ()), name_from, deadline)
    with bar() as shown:
        count = write_index(request, out, lambda done: shown(done, None))
    typer.echo(one_line(f"{count_of(count, 'scan')}; index in {out}"))
