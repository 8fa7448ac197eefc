"""``ctct benchmark``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ctct.benchmark.prediction import Row as PredictionRow
    from ctct.benchmark.runtimes import Row as RuntimeRow
    from ctct.io.case import Case

INPUTS = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[INPUT]...", help="Scans, as for ctct predict. Default: synthetic."),
]
OUT = Annotated[
    Path | None, typer.Option("-o", "--out", help="Folder for speed.json and speed.png.")
]
REFERENCE_HELP = "Pair of the reference: a run folder, a file or 'default'."

benchmark = typer.Typer(
    name="benchmark",
    help="Measure speed, each time as a ratio to a reference in the same run, and quality flags.",
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
        f"{' and '.join(config.pair.networks)}, batch {config.batches.batch}, "
        f"{config.pair.grid_size}²: "
        f"ctct {own.rate:.2f} steps/s ({used}), reference {reference.rate:.2f} steps/s, "
        f"{own.times_as_fast_as(reference):.1f} times as fast"
    )


@benchmark.command()
def runtimes(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="'default', exported .onnx, .xml or .engine files."
        ),
    ] = None,
    reference: Annotated[str, typer.Option(help=REFERENCE_HELP)] = "default",
    batch: Annotated[
        list[int] | None, typer.Option(help="Slices a call, 16 unless given; several allowed.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="That count; one more warms up.")] = 7,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Models on every runtime here, beside the same pair in PyTorch and float32."""
    from ctct.cli.progress import Spinner

    from ctct.benchmark.runtimes import runtime_speed

    with Spinner() as spinner:
        rows = runtime_speed(
            reference, models or ["default"], device, batch or [16], rounds, spinner.say
        )
    _say_runtimes(rows)


@benchmark.command()
def prediction(
    inputs: INPUTS = None,
    model: Annotated[
        list[str] | None, typer.Option(help="'default' or an exported file; several allowed.")
    ] = None,
    reference: Annotated[str, typer.Option(help=REFERENCE_HELP)] = "default",
    batch: Annotated[int, typer.Option(min=1, help="Slices a call.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="That count; one more warms up.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: OUT = None,
) -> None:
    """Whole runs of ctct predict, files in and out, beside the way research code does it.

    Where manual labels, CASE_gt.nii.gz, lie beside the scans, the Dice of each is measured too.
    """
    from ctct.cli.progress import Spinner

    from ctct.benchmark.prediction import prediction_speed

    with Spinner() as spinner, _scans(inputs) as cases:
        rows = prediction_speed(
            cases, model or ["default"], reference, device, batch, rounds, spinner.say
        )
    _say_prediction(rows)
    if out:
        _write(out, {"cases": len(cases), "rows": [row.to_dict() for row in rows]}, rows)


@benchmark.command("all")
def everything(
    inputs: INPUTS = None,
    model: Annotated[str, typer.Option(help="'default' or an .onnx file.")] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: OUT = None,
) -> None:
    """Every runtime, precision and batch; whole runs by stage; a cold start. Some minutes.

    The default of ctct benchmark.
    """
    from ctct.cli.progress import Spinner

    from ctct.benchmark.cold import cold_start
    from ctct.benchmark.prediction import prediction_speed
    from ctct.benchmark.runtimes import runtime_speed

    with Spinner() as spinner, _scans(inputs) as cases:
        cold = cold_start(cases[0].path, observe=spinner.say)
        by_runtime = runtime_speed(model, [model], device, (1, 4, 16, 32), observe=spinner.say)
        runs = prediction_speed(cases, [model], model, device, observe=spinner.say)
    typer.echo("The networks alone, slices of a synthetic cine")
    _say_runtimes(by_runtime)
    typer.echo(f"\nWhole runs over {len(cases)} scans, files in and out")
    _say_prediction(runs)
    memory = "" if cold.peak_memory_mb is None else f", {cold.peak_memory_mb:.0f} MiB at most"
    typer.echo(f"\nA process of its own for {cases[0].name}: {cold.median_s:.2f} s{memory}")
    if out:
        content = {
            "cases": len(cases),
            "runtimes": [row.to_dict() for row in by_runtime],
            "rows": [row.to_dict() for row in runs],
            "cold": vars(cold),
        }
        _write(out, content, runs)


@benchmark.callback(invoke_without_command=True)
def _all_unless_told(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        context.invoke(everything)


@contextmanager
def _scans(inputs: list[Path] | None) -> Iterator[list[Case]]:
    """What was given, or synthetic cines for as long as this lasts."""
    from ctct.benchmark.prediction import write_synthetic
    from ctct.io.discover import discover

    with tempfile.TemporaryDirectory() as folder:
        if not inputs:
            write_synthetic(Path(folder))
        yield discover(inputs or [folder])[0]


def _say_runtimes(rows: Sequence[RuntimeRow]) -> None:
    for row in rows:
        rate = row.timing.rate
        typer.echo(
            f"{row.timing.name}, batch {row.timing.amount}: {1000 / rate:.1f} ms a slice, "
            f"{rate:.1f} slices/s, {row.times_as_fast:.1f} times as fast; a call "
            f"{row.call_ms(50):.0f} ms (p50), {row.call_ms(95):.0f} ms (p95)"
        )


def _say_prediction(rows: Sequence[PredictionRow]) -> None:
    for row in rows:
        dice = "" if row.dice is None else f", Dice {row.dice:.4f}"
        busy = "" if row.busy is None else f", runtime busy {100 * row.busy:.0f} %"
        stages = "".join(f", {stage} {seconds:.2f} s" for stage, seconds in row.stages_s.items())
        typer.echo(
            f"{row.timing.name}: {1000 / row.timing.rate:.1f} ms a slice, "
            f"{row.times_as_fast:.1f} times as fast{dice}{busy}{stages}"
            f"{'' if row.valid else ', INVALID: the Dice is lower'}"
        )


def _write(out: Path, content: dict[str, Any], rows: Sequence[PredictionRow]) -> None:
    from ctct.benchmark.picture import speed_png
    from ctct.benchmark.prediction import machine
    from ctct.storage import prepare_folder, strict_json, write_atomic

    prepare_folder(out)
    write_atomic(out / "speed.json", strict_json({"machine": machine(), **content}))
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
