"""``ctct evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctct.choices import LabelOrder
from ctct.cli.messages import count_of
from ctct.cli.options import OUTPUT

if TYPE_CHECKING:
    from ctct.evaluation.summary import Findings

COMPARISON = "Comparison"


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="Folder of *_seg.nii.gz.")
    ],
    references: Annotated[
        Path,
        typer.Argument(metavar="REFERENCES", help="Folder of *_gt.nii.gz, searched recursively."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for scores.csv, indices.csv, evaluation.json and evaluation.html.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            help="Other predictions of the same cases: paired differences and Wilcoxon p.",
            rich_help_panel=COMPARISON,
        ),
    ] = None,
    voxel_units: Annotated[
        bool,
        typer.Option(
            "--voxel-units",
            help="Distances in voxels, for comparison with papers that ignore the spacing.",
            rich_help_panel=COMPARISON,
        ),
    ] = False,
    label_order: Annotated[
        LabelOrder,
        typer.Option(help="Numbering of the predictions.", rich_help_panel=COMPARISON),
    ] = "acdc",
    reference_order: Annotated[
        LabelOrder,
        typer.Option(help="Numbering of the references.", rich_help_panel=COMPARISON),
    ] = "acdc",
) -> None:
    """Compare label maps with manual ones, at native resolution.

    Prints the Dice of each structure. -o adds Jaccard, HD95 and ASSD, all by ED, ES, base, mid and
    apex, and the agreement of volumes and EF.
    """
    from ctct.api.functions import evaluate as run
    from ctct.cli.progress import bar
    from ctct.errors import EXIT_SOME_FAILED

    with_distances = out is not None or compare is not None
    with bar() as observe:
        findings = run(
            predictions,
            references,
            out,
            compare=compare,
            distances=with_distances,
            voxel_units=voxel_units,
            label_order=label_order,
            reference_order=reference_order,
            on_case=observe,
        )
    evaluation = findings.evaluation
    _print(findings, with_distances)
    for reason in evaluation.failed.values():
        typer.echo(f"ctct: {reason}", err=True)
    if evaluation.failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _print(findings: Findings, distances: bool) -> None:
    from math import isfinite

    from ctct.evaluation.score import DICE, METRICS
    from ctct.evaluation.summary import ALL, GROUPS, MEAN, Quantity
    from ctct.labels import STRUCTURES
    from ctct.measurement.regions import REGIONS

    evaluation = findings.evaluation
    say = typer.echo
    frames = count_of(len(evaluation.scores), "frame")
    say(f"Dice of {frames}, mean ± standard deviation over frames")
    for structure in (*STRUCTURES, MEAN):
        average = findings.averages[Quantity(ALL, structure, DICE)]
        said = []
        if average.count:
            said += [f"{average.mean:.4f} ± {average.sd:.4f}", f"worst {average.minimum:.4f}"]
        if unlabelled := findings.unlabelled.get(structure):
            said += [f"not labelled in {unlabelled} of {frames}"]
        say(f"  {structure:5} {'   '.join(said)}")
    for group in GROUPS:
        for structure in STRUCTURES:
            text = "; ".join(
                f"{region} missed {n.missed} of {n.present}, false {n.false} of {n.absent}"
                for region in REGIONS
                if (n := findings.slices.get((group, region, structure)))
            )
            if text:
                say(f"slices of {structure}{'' if group == ALL else f' at {group}'}: {text}")
    if distances:
        for metric in METRICS[2:]:
            say(f"{metric} in {evaluation.unit}, mean ± standard deviation, frames without")
            for structure in STRUCTURES:
                average = findings.averages[Quantity(ALL, structure, metric)]
                without = average.undefined - findings.unlabelled.get(structure, 0)
                if average.count or without:
                    say(f"  {structure:5} {average.mean:.2f} ± {average.sd:.2f}   {without}")
        for column, a in findings.agreements.items():
            if not a.count:
                continue
            limits = f", limits of agreement {a.lower:.2f} to {a.upper:.2f}" * (a.count > 1)
            r = f", r {a.correlation:.4f}" * isfinite(a.correlation)
            say(f"{column}: bias {a.bias:+.2f}{limits}{r}, {count_of(a.count, 'patient')}")
    for quantity, c in findings.comparisons.items():
        if quantity.group == ALL and c.difference.count:
            say(
                f"{quantity.structure} {quantity.metric} against {findings.compared_with}: "
                f"{c.difference.mean:+.4f} ({c.difference.low:+.4f} to {c.difference.high:+.4f}), "
                f"p {c.p:.3g}"
            )
    for names, kind, lack in (
        (evaluation.unpredicted, "reference", "without a prediction"),
        (evaluation.unreferenced, "prediction", "without a reference"),
    ):
        if names:
            more = ", …" if len(names) > 5 else ""
            count = count_of(len(names), kind)
            say(f"{count} {lack}: {', '.join(names[:5])}{more}", err=True)
