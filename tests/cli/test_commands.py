"""The table of commands, their help, and completion, which import no more than they need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args

import pytest

from ctct import choices
from ctct.cli.commands import COMMANDS, PANELS, load_command
from ctct.labels import ORDERS
from ctct.measurement.papillary import CHOICES
from ctct.runtimes.machine import PACKAGES
from ctct.training.config import PRESETS

BENCHMARKS = ("training", "runtimes", "prediction", "all", "quality", "generalization")
EVERY_COMMAND = [(name,) for name in COMMANDS] + [("benchmark", name) for name in BENCHMARKS]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_has_the_beginning_of_each_help(name: str) -> None:
    assert load_command(name).help.startswith(COMMANDS[name].removesuffix("."))


def test_the_help_names_every_command(ctct: Callable[..., Any]) -> None:
    outcome = ctct("--help")
    assert outcome.code == 0
    _, *panels = re.split(rf"^({'|'.join(PANELS)}):\n", outcome.out, flags=re.MULTILINE)
    shown = {panels[i]: re.findall(r"^  (\w+) ", panels[i + 1], re.M) for i in (0, 2, 4)}
    assert shown == {panel: list(commands) for panel, commands in PANELS.items()}


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_the_help_shows_every_option_in_full(
    command: tuple[str, ...], ctct: Callable[..., Any]
) -> None:
    loaded = load_command(command[0])
    if len(command) == 2:
        loaded = loaded.commands[command[1]]
    described = ctct(*command, "--help").out  # 80 columns wide
    names = [name for parameter in loaded.params for name in parameter.opts if name[0] == "-"]
    assert all(name in described for name in names)


def test_a_misspelt_command_gets_a_suggestion(ctct: Callable[..., Any]) -> None:
    outcome = ctct("predikt")
    assert outcome.code == 2
    assert "No such command 'predikt'. Did you mean 'predict'?" in outcome.err


def loaded_modules(*arguments: str, **environment: str) -> tuple[str, set[str]]:
    """The output of a command line, and the modules that it imported."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr))\n"
        f"sys.argv = ['ctct', *{list(arguments)!r}]\n"
        "from ctct.cli.main import run\n"
        "run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.stdout, set(done.stderr.split())


def test_the_help_imports_no_command() -> None:
    printed, modules = loaded_modules("--help")
    assert "Usage: ctct [OPTIONS] COMMAND" in printed
    assert not modules & {"numpy", "rich", "pydantic", *(f"ctct.cli.{name}" for name in COMMANDS)}


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("ctct pr", ["predict"]),
        ("ctct predict --runtime onnx", ["onnxruntime", "onnxruntime-trt"]),
        ("ctct predict --members cnn", ["cnn", "cnn,transformer"]),
        ("ctct benchmark pred", ["prediction"]),
        ("ctct export --format mon", ["monai-bundle"]),
    ],
)
def test_completion_imports_nothing_heavy(words: str, completions: list[str]) -> None:
    printed, modules = loaded_modules(
        _CTCT_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert printed.split() == completions
    assert not modules & {"numpy", "nibabel", "openvino", "torch"}


def test_the_choices_are_those_of_the_modules_that_define_them() -> None:
    assert get_args(choices.RuntimeName) == ("auto", *PACKAGES)
    assert get_args(choices.LabelOrder) == tuple(ORDERS)
    assert get_args(choices.Papillary) == CHOICES
    assert get_args(choices.Preset) == tuple(PRESETS)


def test_python_m_ctct_is_the_same_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ctct", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"ctct \d+\.\d+\.\d+\n", done.stdout)
