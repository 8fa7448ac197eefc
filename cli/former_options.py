"""Former names of options: taken for one release more, with a warning, and in no help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer

#: By command: former name of an option and its present name.
FORMER_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "predict": {"--window": "--heart-crop", "--no-window": "--no-heart-crop"},
    "train": {
        "--window": "--heart-crop-size",
        "--start-from": "--init-from",
        "--cross-weight": "--unlabelled-weight",
        "--cross-teaching-weight": "--unlabelled-weight",
        "--labelled-only": "--method=labelled_only",
    },
    "export": {"--licence": "--license"},
}


def replace_former_options(command: str, arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with present names only; warns of each former one."""
    present_names = FORMER_OPTIONS.get(command, {})
    replaced: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":  # only positional arguments follow
            return replaced + list(arguments[position:])
        option, equals, value = argument.partition("=")
        if present := present_names.get(option):
            typer.echo(
                f"warning: {option} is now {present}; the next release drops the former name",
                err=True,
            )
            argument = present + equals + value
        replaced.append(argument)
    return replaced
