"""The ``ctct`` command."""

from __future__ import annotations

import logging
import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from ctct.cli.commands import LazyGroup
from ctct.cli.messages import StderrHandler, one_line
from ctct.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, CtctError, missing_package

app = typer.Typer(
    cls=LazyGroup,
    name="ctct",
    help="Segment the heart in short-axis cine MRI with a CNN and a Transformer.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich takes longer to import than all else that this help needs
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"ctct {version('ctct')}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and details of each step.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Set up logging for every command."""
    logger = logging.getLogger("ctct")
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.handlers = [StderrHandler()]
    # pydicom quotes the header, and the patient's name in it.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    # Where a repair by nibabel matters, ctct says so itself, in one line per file.
    logging.getLogger("nibabel.global").setLevel(logging.DEBUG if debug else logging.ERROR)


def run() -> None:
    """Run the command line; an error becomes one line and an exit code."""
    try:
        app()
    except CtctError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        typer.echo(f"ctct: {one_line(error.with_options or error)}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # typer's exit code for Ctrl-C
            typer.echo("ctct: interrupted; run the same command again to continue", err=True)
        raise
    except Exception as error:
        missing = missing_package(error) if isinstance(error, ModuleNotFoundError) else None
        if missing:
            typer.echo(f"ctct: {missing}", err=True)
            sys.exit(missing.exit_code)
        if "--debug" in sys.argv:
            traceback.print_exc()
        typer.echo(
            f"ctct: internal error, {type(error).__name__}: {one_line(error)}; "
            "run with --debug for details",
            err=True,
        )
        sys.exit(EXIT_INTERNAL)
