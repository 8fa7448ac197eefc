"""``ctct benchmark``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctct.choices import Precision
from ctct.cli.benchmark_labels import (
    MEASURING,
    base,
    correction_order,
    generalization,
    quality,
)
from ctct.cli.options import DEVICE, MODEL, OUTPUT

if TYPE_CHECKING:
    from ctct.benchmark.prediction import PredictionRow
    from ctct.benchmark.runtimes import RuntimeRow
    from ctct.cases.case import Case

INPUTS = Annotated[
    list[Path] | None,
    typer.Argument(metavar="INPUT", help="Scans, as for ctct predict. Default: synthetic cines."),
]
OUT = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", help="Folder for speed.json and speed.png.", rich_help_panel=OUTPUT
    ),
]
REFERENCE = Annotated[
    str,
    typer.Option(
        help="Pair that the reference runs: a run folder, a file or 'default'.",
        rich_help_panel=MODEL,
    ),
]
ROUNDS = Annotated[
    int,
    typer.Option(min=1, help="Rounds that count; one more warms up.", rich_help_panel=MEASURING),
]

benchmark = typer.Typer(
    name="benchmark",
    help="Measure speed and quality flags against a reference.\n\n"
    "Each speed is given as a ratio to a reference timed in the same run.",
    add_completion=False,
    rich_markup_mode="rich",
)


@benchmark.command()
def training(
    data: Annotated[Path, typer.Argument(help="Folder of patients, or a packed file.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset of the networks, grid and batch. Default: best on a GPU, small on a CPU.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    labelled: Annotated[
        int, typer.Option(help="Patients that keep their labels.", rich_help_panel=MODEL)
    ] = 7,
    precision: Annotated[
        Precision, typer.Option(help="Precision of ctct's steps.", rich_help_panel=MODEL)
    ] = "auto",
    device: DEVICE = "auto",
    steps: Annotated[
        int,
        typer.Option(
            min=1, help="Steps of each implementation per round.", rich_help_panel=MEASURING
        ),
    ] = 4,
    rounds: ROUNDS = 5,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Processes that prepare the reference's data.",
            rich_help_panel=MEASURING,
        ),
    ] = 2,
) -> None:
    """Training steps per second, compared with typical research code."""
    from ctct.benchmark.training import PUBLISHED, training_speed
    from ctct.cli.progress import spinner
    from ctct.training.config import make_config
    from ctct.training.devices import default_preset

    settings = {"data": str(data), "labelled": labelled, "precision": precision, **PUBLISHED}
    config = make_config(preset or default_preset(device), settings)
    with spinner() as say:
        speed, reference, used = training_speed(config, device, steps, rounds, workers, say)
    typer.echo(
        f"{' and '.join(config.pair.networks)}, batch {config.batches.batch}, "
        f"{config.pair.grid_size}²: "
        f"ctct {speed.rate:.2f} steps/s ({used}), reference {reference.rate:.2f} steps/s, "
        f"{speed.times_as_fast_as(reference):.1f} times as fast"
    )


@benchmark.command()
def runtimes(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL", help="'default', or exported .onnx, .xml or .engine files."
        ),
    ] = None,
    reference: REFERENCE = "default",
    device: DEVICE = "auto",
    batch: Annotated[
        list[int] | None,
        typer.Option(
            help="Slices per call; repeat it for several. Default: 16.", rich_help_panel=MEASURING
        ),
    ] = None,
    rounds: ROUNDS = 7,
) -> None:
    """Models on every runtime here, compared with the same pair in PyTorch and float32."""
    from ctct.benchmark.runtimes import runtime_speed
    from ctct.cli.progress import spinner

    with spinner() as say:
        rows = runtime_speed(reference, models or ["default"], device, batch or [16], rounds, say)
    _say_runtimes(rows)


@benchmark.command()
def prediction(
    inputs: INPUTS = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="'default' or an exported file; repeat it for several.", rich_help_panel=MODEL
        ),
    ] = None,
    reference: REFERENCE = "default",
    device: DEVICE = "auto",
    batch: Annotated[
        int, typer.Option(min=1, help="Slices per call.", rich_help_panel=MEASURING)
    ] = 16,
    rounds: ROUNDS = 3,
    out: OUT = None,
) -> None:
    """Complete runs of ctct predict, from file to file, compared with typical research code.

    Measures the Dice too where manual labels, CASE_gt.nii.gz, lie next to the scans.
    """
    from ctct.benchmark.prediction import prediction_speed
    from ctct.cli.progress import spinner

    with spinner() as say, _scans(inputs) as cases:
        rows = prediction_speed(cases, model or ["default"], reference, device, batch, rounds, say)
    _say_prediction(rows)
    if out:
        _write(out, {"cases": len(cases), "rows": [row.to_dict() for row in rows]}, rows)


@benchmark.command("all")
def everything(
    inputs: INPUTS = None,
    model: Annotated[
        str, typer.Option(help="'default' or an .onnx file.", rich_help_panel=MODEL)
    ] = "default",
    device: DEVICE = "auto",
    out: OUT = None,
) -> None:
    """Every runtime, precision and batch; complete runs by stage; a cold start.

    It takes some minutes. ctct benchmark without a command does the same.
    """
    from ctct.benchmark.cold_start import cold_start
    from ctct.benchmark.prediction import prediction_speed
    from ctct.benchmark.runtimes import runtime_speed
    from ctct.cli.progress import spinner

    with spinner() as say, _scans(inputs) as cases:
        cold = cold_start(cases[0].path, on_stage=say)
        by_runtime = runtime_speed(model, [model], device, (1, 4, 16, 32), on_stage=say)
        runs = prediction_speed(cases, [model], model, device, on_stage=say)
    typer.echo("The networks only, on slices of a synthetic cine")
    _say_runtimes(by_runtime)
    typer.echo(f"\nComplete runs over {len(cases)} scans, from file to file")
    _say_prediction(runs)
    memory = "" if cold.peak_memory_mb is None else f", peak memory {cold.peak_memory_mb:.0f} MiB"
    typer.echo(f"\nA new process for {cases[0].name}: {cold.median_s:.2f} s{memory}")
    if out:
        content = {
            "cases": len(cases),
            "runtimes": [row.to_dict() for row in by_runtime],
            "rows": [row.to_dict() for row in runs],
            "cold": vars(cold),
        }
        _write(out, content, runs)


@benchmark.callback(invoke_without_command=True)
def _default_to_all(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        context.invoke(everything)


@contextmanager
def _scans(inputs: list[Path] | None) -> Iterator[list[Case]]:
    """The cases in ``inputs``, or else synthetic cines in a temporary folder."""
    from ctct.benchmark.prediction import write_synthetic
    from ctct.cases.discover import discover

    with tempfile.TemporaryDirectory() as folder:
        if not inputs:
            write_synthetic(Path(folder))
        yield discover(inputs or [folder])[0]


def _say_runtimes(rows: Sequence[RuntimeRow]) -> None:
    for row in rows:
        rate = row.timing.rate
        typer.echo(
            f"{row.timing.name}, batch {row.timing.amount}: {1000 / rate:.1f} ms per slice, "
            f"{rate:.1f} slices/s, {row.times_as_fast:.1f} times as fast; "
            f"{row.call_ms(50):.0f} ms per call (p50), {row.call_ms(95):.0f} ms (p95)"
        )


def _say_prediction(rows: Sequence[PredictionRow]) -> None:
    for row in rows:
        dice = "" if row.dice is None else f", Dice {row.dice:.4f}"
        busy = "" if row.busy is None else f", runtime busy {100 * row.busy:.0f} %"
        stages = "".join(f", {stage} {seconds:.2f} s" for stage, seconds in row.stages_s.items())
        typer.echo(
            f"{row.timing.name}: {1000 / row.timing.rate:.1f} ms per slice, "
            f"{row.times_as_fast:.1f} times as fast{dice}{busy}{stages}"
            f"{'' if row.valid else ', INVALID: the Dice is lower'}"
        )


def _write(out: Path, content: dict[str, Any], rows: Sequence[PredictionRow]) -> None:
    from ctct.benchmark.picture import speed_png
    from ctct.benchmark.prediction import describe_machine
    from ctct.storage import prepare_folder, strict_json, write_atomic

    prepare_folder(out)
    write_atomic(out / "speed.json", strict_json({"machine": describe_machine(), **content}))
    write_atomic(out / "speed.png", speed_png([row.timing for row in rows]))


for command in (quality, base, generalization):
    benchmark.command()(command)
benchmark.command("next")(correction_order)
