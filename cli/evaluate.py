"""``ctct evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ctct.evaluation.summary import Findings


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
        typer.Option("-o", "--out", help="Folder for scores.csv, indices.csv, JSON and HTML."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="Other predictions of the same cases: paired differences, Wilcoxon p."),
    ] = None,
    voxel_units: Annotated[
        bool,
        typer.Option("--voxel-units", help="Distances in voxels, as where spacing is left out."),
    ] = False,
    label_order: Annotated[
        str, typer.Option(help="Numbering of the predictions: acdc, mnms, ukbb or monai.")
    ] = "acdc",
    reference_order: Annotated[str, typer.Option(help="Numbering of the references.")] = "acdc",
) -> None:
    """Compare label maps with manual ones, at native resolution.

    Prints the Dice of each structure. With -o also Jaccard, HD95, ASSD, each by ED, ES, base, mid
    and apex, and how volumes and EF agree.
    """
    from ctct.cli.progress import CaseBar

    from ctct.errors import EXIT_SOME_FAILED, ConfigError
    from ctct.evaluation.evaluate import EvaluationOptions, evaluate_folder
    from ctct.evaluation.files import evaluation_files
    from ctct.evaluation.summary import Findings, compare_evaluations
    from ctct.labels import ORDERS
    from ctct.storage import prepare_folder, write_atomic

    for flag, order in (("--label-order", label_order), ("--reference-order", reference_order)):
        if order not in ORDERS:
            raise ConfigError(f"{flag} {order}: choose one of {', '.join(ORDERS)}")
    if out is not None:
        prepare_folder(out)
    wanted = out is not None or compare is not None
    options = EvaluationOptions(wanted, voxel_units, label_order, reference_order)
    with CaseBar() as bar:
        own = evaluate_folder(predictions, references, options, bar.done)
        other = evaluate_folder(compare, references, options, bar.done) if compare else None
    findings = Findings.from_evaluation(
        own, str(compare or ""), compare_evaluations(own, other) if other else {}
    )
    if out is not None:
        for name, content in evaluation_files(findings).items():
            write_atomic(out / name, content)
    _print(findings, wanted)
    for reason in own.failed.values():
        typer.echo(f"ctct: {reason}", err=True)
    if own.failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _print(findings: Findings, distances: bool) -> None:
    from ctct.evaluation.score import DICE, METRICS
    from ctct.evaluation.summary import ALL, MEAN, Quantity
    from ctct.labels import STRUCTURES

    evaluation = findings.evaluation
    say = typer.echo
    say(f"Dice of {len(evaluation.scores)} frames, mean ± standard deviation over frames")
    for structure in (*STRUCTURES, MEAN):
        found = findings.averages[Quantity(ALL, structure, DICE)]
        worst = min(
            score.mean_dice if structure == MEAN else score.metrics[structure][DICE]
            for score in evaluation.scores
        )
        say(f"  {structure:5} {found.mean:.4f} ± {found.sd:.4f}   worst {worst:.4f}")
    if distances:
        for metric in METRICS[2:]:
            say(f"{metric} in {evaluation.unit}, mean ± standard deviation, frames without")
            for structure in STRUCTURES:
                found = findings.averages[Quantity(ALL, structure, metric)]
                say(f"  {structure:5} {found.mean:.2f} ± {found.sd:.2f}   {found.undefined}")
        for column, a in findings.agreements.items():
            limits = f", limits of agreement {a.lower:.2f} to {a.upper:.2f}, r {a.correlation:.4f}"
            say(f"{column}: bias {a.bias:+.2f}{limits * (a.count > 1)}, {a.count} patients")
    for quantity, c in findings.comparisons.items():
        if quantity.group == ALL:
            say(
                f"{quantity.structure} {quantity.metric} against {findings.compared_with}: "
                f"{c.difference.mean:+.4f} ({c.difference.low:+.4f} to {c.difference.high:+.4f}), "
                f"p {c.p:.3g}"
            )
    for names, side in (
        (evaluation.unpredicted, "references without a prediction"),
        (evaluation.unreferenced, "predictions without a reference"),
    ):
        if names:
            more = ", …" if len(names) > 5 else ""
            say(f"{len(names)} {side}: {', '.join(names[:5])}{more}", err=True)
