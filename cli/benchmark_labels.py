"""The commands of ``ctct benchmark`` that measure labels, and not speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctct.choices import LabelOrder
from ctct.cli.options import DEVICE, MODEL, OUTPUT, RUNTIME

if TYPE_CHECKING:
    from ctct.benchmark.quality import Trial
    from ctct.benchmark.rv_base import BaseTrial

MEASURING = "Measuring"

FOLDERS = Annotated[list[Path], typer.Argument(help="Folders of CASE.nii.gz and CASE_gt.nii.gz.")]
MEASURED_MODEL = Annotated[
    str, typer.Option(help="'default', a file or a run folder.", rich_help_panel=MODEL)
]
REFERENCE_ORDER = Annotated[
    LabelOrder, typer.Option(help="Numbering of the references.", rich_help_panel=MEASURING)
]


def quality(
    folders: FOLDERS,
    model: MEASURED_MODEL = "default",
    runtime: RUNTIME = "auto",
    seed: Annotated[
        int, typer.Option(help="Seed of the corruption.", rich_help_panel=MEASURING)
    ] = 0,
    copies: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Corrupted copies of each scan. Default: one of each kind.",
            rich_help_panel=MEASURING,
        ),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fit the predicted Dice to this model, and write it to a JSON file.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """How well the predicted Dice tells bad labels from good, on scans and corrupted copies."""
    from dataclasses import asdict

    from ctct.benchmark.dice_models import GOOD_DICE, cross_validate, fit_models
    from ctct.benchmark.quality import quality_trials
    from ctct.cli.progress import spinner
    from ctct.errors import InputError
    from ctct.inference.segmenter import ModelSpec
    from ctct.storage import strict_json, write_atomic

    with spinner() as say:
        trials = quality_trials(ModelSpec(model, runtime).load(), folders, seed, copies, say)
    for damage in dict.fromkeys(trial.damage for trial in trials):
        damaged = [trial for trial in trials if trial.damage == damage]
        dice = [value for trial in damaged for value in trial.dice.values()]
        mean = sum(dice) / max(len(dice), 1)
        typer.echo(
            f"{damage:20} {len(damaged)} frames, mean Dice {mean:.3f}, "
            f"{sum(value < GOOD_DICE for value in dice)} of {len(dice)} below {GOOD_DICE}"
        )
    typer.echo("\nas shipped:")
    _say_success(trials, [dict(trial.indicators.predicted_dice) for trial in trials])
    if fit:
        typer.echo("\nfitted to other patients:")
        _say_success(trials, cross_validate(trials))
        if len(folders) > 1:
            typer.echo("\nfitted to the other folders:")
            try:
                _say_success(trials, cross_validate(trials, lambda trial: trial.folder))
            except InputError as error:
                typer.echo(f"not possible, {error}")
        models = fit_models(trials)
        write_atomic(fit, strict_json({s: asdict(model) for s, model in models.items()}))
        typer.echo(f"\nwrote {fit}")


def _say_success(trials: Sequence[Trial], predicted: Sequence[dict[str, float]]) -> None:
    """AUROC, error, AURC and what is rated ok: all, each structure and each folder."""
    from ctct.benchmark.dice_models import BAD_DICE, GOOD_DICE, measure_success
    from ctct.labels import STRUCTURES

    pairs = list(zip(trials, predicted, strict=True))
    groups = {"all": (pairs, STRUCTURES)} | {s: (pairs, (s,)) for s in STRUCTURES}
    for folder in dict.fromkeys(trial.folder for trial in trials):
        groups[folder.name] = ([p for p in pairs if p[0].folder == folder], STRUCTURES)
    groups["undamaged"] = ([p for p in pairs if p[0].damage == "none"], STRUCTURES)
    for name, (chosen, structures) in groups.items():
        if not any(s in trial.dice for trial, _ in chosen for s in structures):
            continue
        score, dice = measure_success([t for t, _ in chosen], [p for _, p in chosen], structures)
        typer.echo(
            f"{name:15} {dice.labels} structures, {dice.bad} with Dice < {GOOD_DICE}: AUROC "
            f"{dice.auroc:.3f} (score {score.auroc:.3f}), mean error {dice.error:.3f}, AURC "
            f"{dice.aurc:.3f} ({score.aurc:.3f}); ok with Dice < {BAD_DICE}: {dice.bad_but_ok} of "
            f"{dice.ok} (without the predicted Dice {score.bad_but_ok} of {score.ok})"
        )


def base(
    folders: FOLDERS,
    model: MEASURED_MODEL = "default",
    runtime: RUNTIME = "auto",
    fit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fit the rule to this model, and write it to a JSON file.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """What the rule for the RV in the slice nearest the base gains: slices and Dice of the RV."""
    from dataclasses import asdict

    from ctct.benchmark.rv_base import base_trials, cross_validate_base, fit_base_model
    from ctct.cli.progress import spinner
    from ctct.inference.segmenter import ModelSpec
    from ctct.measurement.rv_base import find_extra_slice
    from ctct.storage import strict_json, write_atomic

    with spinner() as say:
        trials = base_trials(ModelSpec(model, runtime).load(), folders, say)
    typer.echo("without the rule:")
    _say_base(trials, [None] * len(trials))
    typer.echo("\nas shipped:")
    _say_base(trials, [find_extra_slice(trial.labels) for trial in trials])
    if fit:
        fitted = fit_base_model(trials)
        typer.echo("\nfitted to other patients:")
        _say_base(trials, cross_validate_base(trials))
        write_atomic(fit, strict_json(asdict(fitted)))
        typer.echo(f"\nwrote {fit}")


def _say_base(trials: Sequence[BaseTrial], extra: Sequence[int | None]) -> None:
    """Slices and Dice of each folder."""
    from ctct.benchmark.rv_base import measure_base

    pairs = list(zip(trials, extra, strict=True))
    for folder in dict.fromkeys(trial.folder for trial in trials):
        chosen = [pair for pair in pairs if pair[0].folder == folder]
        found = measure_base([trial for trial, _ in chosen], [z for _, z in chosen])
        typer.echo(
            f"{folder.name:15} {found.frames} frames, {found.changed} changed; slices with RV "
            f"missed {found.missed}, false {found.false}; Dice of RV {found.dice:.4f}"
        )


def generalization(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER", help="Folders of scans and *_gt.nii.gz, a labelled set each."
        ),
    ],
    model: MEASURED_MODEL = "default",
    runtime: RUNTIME = "auto",
    device: DEVICE = "auto",
    reference_order: REFERENCE_ORDER = "acdc",
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Also segment some scans of each set turned, mirrored, and with other pixels.",
            rich_help_panel=MEASURING,
        ),
    ] = False,
    changed_patients: Annotated[
        int,
        typer.Option(
            min=1,
            help="With --robustness: patients of each set whose scans are changed.",
            rich_help_panel=MEASURING,
        ),
    ] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for generalization.md and generalization.json.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """One model on several labelled sets: Dice, missed slices, volumes and verdicts in one table.

    References may lack structures: they are scored on those they have.
    """
    from ctct.benchmark import generalization_table as table
    from ctct.benchmark.generalization import generalization as run
    from ctct.benchmark.prediction import describe_machine
    from ctct.cli.progress import spinner
    from ctct.errors import EXIT_SOME_FAILED
    from ctct.inference.segmenter import ModelSpec
    from ctct.storage import prepare_folder, write_atomic

    if out:
        prepare_folder(out)
    with spinner() as say, ModelSpec(model, runtime, device).load() as segmenter:
        about = {
            "model": f"{segmenter.model.path.name} (SHA-256 {segmenter.model.sha256[:12]})",
            "runtime": f"{segmenter.runtime.name} on {segmenter.runtime.device}",
            **describe_machine(),
        }
        results, unusable = run(
            segmenter, folders, reference_order, robustness, changed_patients, say
        )
    for line in table.terminal_lines(results):
        typer.echo(line)
    if out:
        for name, content in table.generalization_files(results, unusable, about).items():
            write_atomic(out / name, content)
    for reason in unusable.values():
        typer.echo(f"ctct: {reason}", err=True)
    if unusable or any(result.failed for result in results):
        raise typer.Exit(EXIT_SOME_FAILED)


def correction_order(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder that ctct predict wrote.")
    ],
    references: Annotated[
        Path, typer.Argument(metavar="REFERENCES", help="Folder of manual labels, CASE_gt.nii.gz.")
    ],
    reference_order: REFERENCE_ORDER = "acdc",
) -> None:
    """What correcting in the order of ctct next gains over a random order.

    A corrected patient has the manual labels. Tells the errors left after some corrections: in this
    order, expected in a random one, and in the best one.
    """
    from ctct.benchmark import correction_order as order

    found = order.read_errors(results, references, reference_order)
    for name, errors in found.errors.items():
        rows = [
            order.errors_left(errors),
            order.random_errors_left(errors),
            order.best_errors_left(errors),
        ]
        typer.echo(f"{name}, mean over {len(found.patients)} patients")
        typer.echo("corrected  this order  random  best")
        for count in order.shown_counts(len(errors)):
            this, random, best = (row[count] for row in rows)
            typer.echo(f"{count:9}  {this:10.4f}  {random:6.4f}  {best:.4f}")
        share = order.share_of_better_orders(errors)
        typer.echo(f"random orders that are as good or better: {100 * share:.2f} %\n")
