"""The ``ctct`` command."""

from __future__ import annotations

import logging
import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer
from ctct.cli.benchmark import benchmark
from ctct.cli.demo import demo
from ctct.cli.evaluate import evaluate
from ctct.cli.export import export
from ctct.cli.info import info
from ctct.cli.messages import OneLineFormatter, one_line
from ctct.cli.pack import pack
from ctct.cli.predict import predict
from ctct.cli.sample import sample
from ctct.cli.train import train

from ctct.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, CtctError, RuntimeUnavailableError

app = typer.Typer(
    name="ctct",
    help="Segment the heart in short-axis cine MRI with a CNN and a Transformer.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
#: What commands that go beyond a base install import first, and the extra that brings all of it.
EXPORT_EXTRA = ("torch", "timm", "safetensors", "onnx")

for command in (predict, sample, evaluate, train, pack, export, demo, info):
    app.command()(command)
app.add_typer(benchmark)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ctct {version('ctct')}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and details of what is done.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Options that stand before every command."""
    logger = logging.getLogger("ctct")
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter())
    logger.handlers = [handler]
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # quotes the header, names too
    # What nibabel mends by itself is said by our own one line a file, or not worth one.
    logging.getLogger("nibabel.global").setLevel(logging.DEBUG if debug else logging.ERROR)


def run() -> None:
    """Run the command line; an error becomes one line and an exit code."""
    try:
        app()
    except CtctError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        typer.echo(f"ctct: {one_line(error)}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
            typer.echo("ctct: interrupted; run the same command again to go on", err=True)
        raise
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing in EXPORT_EXTRA:
            typer.echo(f"ctct: this needs {missing}; pip install 'ctct[export]'", err=True)
            sys.exit(RuntimeUnavailableError.exit_code)
        if "--debug" in sys.argv:
            traceback.print_exc()
        typer.echo(
            f"ctct: internal error, {type(error).__name__}: {one_line(error)}; "
            "run with --debug for details",
            err=True,
        )
        sys.exit(EXIT_INTERNAL)
