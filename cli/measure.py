"""``ctct measure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctct.cli.messages import count_of
from ctct.cli.options import (
    AS_JSON,
    ED,
    ES,
    FOLLOW_UP,
    INPUT,
    MEASUREMENT,
    OUTPUT,
    PAPILLARY,
    WITH_REPORT,
)


def measure(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder that ctct predict wrote.")
    ],
    edited: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Corrected label maps, called as the automatic ones: NIfTI, .seg.nrrd, .seq.nrrd, "
            "DICOM-SEG. Default: RESULTS/edited.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for what is measured. Default: RESULTS/measured.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    subjects: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of id, sex, height_cm, weight_kg, heart_rate_bpm, as of ctct predict.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    ed: ED = None,
    es: ES = None,
    papillary: PAPILLARY = "labels",
    follow_up: FOLLOW_UP = None,
    report: WITH_REPORT = True,
    as_json: AS_JSON = False,
) -> None:
    """Measure results again with label maps that were corrected elsewhere.

    Writes the tables and the report of ctct predict, with a column that says what was edited, and
    edits.csv: voxels, Dice and volumes of each structure before and after. The automatic results
    stay. To continue, or after further corrections, run the same command again.
    """
    import json
    from dataclasses import asdict

    from ctct.api.functions import measure as run
    from ctct.cli.messages import one_line
    from ctct.cli.progress import bar
    from ctct.errors import EXIT_SOME_FAILED, InputError
    from ctct.prediction.run_manifest import FAILED

    with bar() as on_case:
        statuses, patients = run(
            results,
            edited,
            out,
            subjects=subjects,
            ed=ed,
            es=es,
            papillary=papillary,
            follow_up=follow_up or (),
            report=report,
            on_case=on_case,
        )
    failed = [status for status in statuses if status.status == FAILED]
    for status in failed:
        typer.echo(f"ctct: {one_line(status.reason)}", err=True)
    if as_json:
        typer.echo(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        edits = sum(bool(patient.remarks.get("edited")) for patient in patients)
        where = out or results / "measured"
        said = f"{count_of(len(patients), 'patient')}, {edits} edited"
        said += f", {len(failed)} failed" if failed else ""
        typer.echo(one_line(f"{said}; results in {where}"))
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED if patients else InputError.exit_code)
