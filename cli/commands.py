"""The commands, imported one at a time: help and completion of the others need none of them."""

from __future__ import annotations

from importlib import import_module
from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ctct.cli.former_options import replace_former_options

#: By panel of the help: name of each command and beginning of its help. The command is the
#: function, or the ``typer.Typer``, of that name in the module of that name.
PANELS = {
    "Segment and measure": {
        "predict": "Label RV, myocardium and LV in every scan, and measure them.",
        "measure": "Measure results again with label maps that were corrected elsewhere.",
        "next": "List which patients are worth correcting first, and why.",
        "index": "List the scans of a cohort in a file, for shards of ctct predict.",
        "report": "Write the tables and the report of results, also while they are made.",
        "evaluate": "Compare label maps with manual ones, at native resolution.",
        "demo": "Open a web page that segments the scans dropped on it.",
        "node": "Receive studies from the PACS, segment them and send the results back.",
        "watch": "Segment each scan that is put into a shared folder.",
    },
    "Train and export": {
        "train": "Train a CNN and a Transformer that teach each other.",
        "study": "Train and compare methods, numbers of labelled patients and seeds.",
        "pack": "Put a training set into one file.",
        "average": "Write the mean of the weights of two trained pairs.",
        "export": "Write a trained pair as files that other runtimes run.",
    },
    "This machine and its scans": {
        "info": "Print versions, runtimes, devices and the model's description.",
        "doctor": "Examine this installation, and say what is missing.",
        "sample": "Write a synthetic short-axis cine and, as *_gt.nii.gz, its true labels.",
        "benchmark": "Measure speed and quality flags against a reference.",
    },
}
COMMANDS = {name: line for panel in PANELS.values() for name, line in panel.items()}


class LazyGroup(TyperGroup):
    """A group that imports a command when it is run or completed."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=line, rich_help_panel=panel)
            for panel, commands in PANELS.items()
            for name, line in commands.items()
        }

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the panels, without rich."""
        width = max(map(len, COMMANDS))
        for panel, commands in PANELS.items():
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that ``args`` begin with, and its arguments."""
        name, command, arguments = super().resolve_command(ctx, args)
        if name is None:  # completion of a name that does not exist
            return name, command, arguments
        return name, load_command(name), replace_former_options(name, arguments)


def load_command(name: str) -> Any:
    """Import a command of :data:`COMMANDS`."""
    command = getattr(import_module(f"ctct.cli.{name}"), name)
    if not isinstance(command, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name, help=_unwrap(command.__doc__))(command)
        command = app
    loaded = typer.main.get_command(command)
    loaded.name = name
    return loaded


def _unwrap(docstring: str) -> str:
    """A docstring with a line per paragraph: the help wraps them to the width of the terminal."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(docstring).split("\n\n"))
