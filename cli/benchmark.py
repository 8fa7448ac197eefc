"""``ctct benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

benchmark = typer.Typer(
    name="benchmark",
    help="Measure speed, each time as a ratio to a reference in the same run, and quality flags.",
    no_args_is_help=True,
)


@benchmark.command()
def training(
    data: Annotated[Path, typer.Argument(help="Folder of patients, or a packed file.")],
    preset: Annotated[
        str | None, typer.Option(help="Whose networks, grid and batch. Default: best on a GPU.")
    ] = None,
    labelled: Annotated[int, typer.Option(help="Patients that keep their labels.")] = 7,
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32; of ctct's steps.")] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="Of each way a round.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="That count; one more warms up.")] = 5,
    workers: Annotated[int, typer.Option(min=0, help="That prepare the reference's data.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Steps a second of cross teaching, beside the way research code is usually written."""
    from ctct.cli.progress import Spinner

    from ctct.benchmark.training import PUBLISHED, training_speed
    from ctct.training.config import make_config
    from ctct.training.devices import default_preset

    settings = {"data": str(data), "labelled": labelled, "precision": precision, **PUBLISHED}
    config = make_config(preset or default_preset(device), settings)
    with Spinner() as spinner:
        own, reference, used = training_speed(config, device, steps, rounds, workers, spinner.say)
    typer.echo(
        f"{' and '.join(config.networks)}, batch {config.batch}, {config.grid_size}²: "
        f"ctct {own.rate:.2f} steps/s ({used}), reference {reference.rate:.2f} steps/s, "
        f"{own.times_as_fast_as(reference):.1f} times as fast"
    )


@benchmark.command()
def runtimes(
    models: Annotated[list[Path], typer.Argument(help="Exported .onnx, .xml or .engine files.")],
    reference: Annotated[
        str, typer.Option(help="Pair to run in PyTorch: a run folder, a file or 'default'.")
    ] = "default",
    batch: Annotated[int, typer.Option(min=1, help="Slices a call.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="That count; one more warms up.")] = 7,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Slices a second of exported models, beside the same pair in PyTorch and float32."""
    from ctct.cli.progress import Spinner

    from ctct.benchmark.runtimes import runtime_speed

    with Spinner() as spinner:
        timings = runtime_speed(reference, models, device, batch, rounds, spinner.say)
    for timing in timings:
        typer.echo(
            f"{timing.name}: {1000 / timing.rate:.1f} ms a slice, {timing.rate:.1f} slices/s, "
            f"{timing.times_as_fast_as(timings[0]):.1f} times as fast"
        )


@benchmark.command()
def prediction(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[INPUT]...", help="Scans, as for ctct predict. Default: synthetic."
        ),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="'default' or an exported file; several allowed.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Pair of the reference: a run folder, a file or 'default'.")
    ] = "default",
    batch: Annotated[int, typer.Option(min=1, help="Slices a call.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="That count; one more warms up.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for speed.json and speed.png.")
    ] = None,
) -> None:
    """Whole runs of ctct predict, files in and out, beside the way research code does it.

    Where manual labels, CASE_gt.nii.gz, lie beside the scans, the Dice of each is measured too.
    """
    import tempfile

    from ctct.cli.progress import Spinner

    from ctct.benchmark.prediction import machine, prediction_speed, write_synthetic
    from ctct.io.discover import discover
    from ctct.io.write import prepare_folder, strict_json, write_atomic
    from ctct.report.speed import speed_png

    with tempfile.TemporaryDirectory() as folder, Spinner() as spinner:
        if not inputs:
            write_synthetic(Path(folder))
        cases, _ = discover(inputs or [folder])
        rows = prediction_speed(
            cases, model or ["default"], reference, device, batch, rounds, spinner.say
        )
    for row in rows:
        dice = "" if row.dice is None else f", Dice {row.dice:.4f}"
        busy = "" if row.busy is None else f", runtime busy {100 * row.busy:.0f} %"
        typer.echo(
            f"{row.timing.name}: {1000 / row.timing.rate:.1f} ms a slice, "
            f"{row.times_as_fast:.1f} times as fast{dice}{busy}"
            f"{'' if row.valid else ', INVALID: the Dice differs'}"
        )
    if out:
        prepare_folder(out)
        content = {"machine": machine(), "cases": len(cases), "rows": [r.to_dict() for r in rows]}
        write_atomic(out / "speed.json", strict_json(content))
        write_atomic(out / "speed.png", speed_png([row.timing for row in rows]))


@benchmark.command()
def quality(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of CASE.nii.gz with CASE_gt.nii.gz beside them.")
    ],
    model: Annotated[str, typer.Option(help="'default', a file or a run folder.")] = "default",
    runtime: Annotated[str, typer.Option(help="As for ctct predict.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the damage.")] = 0,
) -> None:
    """Whether the quality score tells bad labels from good: on scans and on spoilt copies."""
    from ctct.cli.progress import Spinner

    from ctct.benchmark.quality import GOOD_DICE, auroc, quality_trials
    from ctct.inference.segmenter import load_model

    with Spinner() as spinner:
        trials = quality_trials(load_model(model, runtime), folders, seed, spinner.say)
    for damage in dict.fromkeys(trial.damage for trial in trials):
        own = [trial for trial in trials if trial.damage == damage]
        bad = [trial for trial in own if trial.dice < GOOD_DICE]
        typer.echo(
            f"{damage:20} {len(own)} frames, mean Dice {sum(t.dice for t in own) / len(own):.3f}, "
            f"{len(bad)} below {GOOD_DICE}; flagged: {sum(bool(t.level) for t in bad)} of these, "
            f"{sum(bool(t.level) for t in own if t not in bad)} of the others"
        )
    bad_ones = [trial.dice < GOOD_DICE for trial in trials]
    typer.echo(
        f"AUROC of the score for Dice < {GOOD_DICE}: "
        f"{auroc([t.score for t in trials], bad_ones):.3f} of {len(trials)} frames, "
        f"{sum(bad_ones)} bad"
    )
