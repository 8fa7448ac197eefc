"""``ctct evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="Folder of *_seg.nii.gz.")
    ],
    references: Annotated[
        Path,
        typer.Argument(metavar="REFERENCES", help="Folder of *_gt.nii.gz, searched recursively."),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Also write the scores as CSV.")
    ] = None,
) -> None:
    """Compare label maps with manual ones: Dice per case at native resolution, mean and spread."""
    from ctct.io.write import write_atomic
    from ctct.labels import STRUCTURES
    from ctct.measurement.evaluate import evaluate_folder
    from ctct.report.tables import scores_csv

    scores = evaluate_folder(predictions, references)
    if out is not None:
        write_atomic(out, scores_csv(scores))
    typer.echo(f"Dice of {len(scores)} cases, mean ± standard deviation over cases")
    for structure in (*STRUCTURES, "mean"):
        values = [score.dice[structure] for score in scores]
        mean = sum(values) / len(values)
        spread = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        typer.echo(f"  {structure:5} {mean:.4f} ± {spread:.4f}   worst {min(values):.4f}")
