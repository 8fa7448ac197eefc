from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from ctct.cli.options_from_settings import options_from


class Data(BaseModel):
    folders: tuple[Path, ...] = Field(default=(), description="Folders of scans.")
    labelled: int | None = Field(default=None, description="Patients with labels.")


class Speed(BaseModel):
    networks: tuple[str, str] = Field(default=("unet", "swin"), description="Two names.")
    rate: float = Field(default=0.002, description="Learning rate.")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="Of the arithmetic.")
    compile: bool = Field(default=False, description="Compile the networks.")
    seed: int = Field(description="Of random draws.")


class Everything(BaseModel):
    data: Data = Field(default_factory=Data)
    speed: Speed = Field(default_factory=lambda: Speed(seed=0), title="How fast")


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a command with these options; it echoes its overrides."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")

    @app.command()
    @options_from(Everything, leave_out=("seed",))
    def command(
        overrides: dict[str, Any],
        where: Annotated[str, typer.Argument(help="A place.")],
        out: Annotated[str, typer.Option("-o", "--out", help="Another.")] = "run",
    ) -> None:
        """Do it."""
        typer.echo(f"{where} {out} {overrides}")

    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_only_options_on_the_command_line_are_passed_on() -> None:
    assert run("here", "-o", "there") == (0, "here there {}\n")


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        (["--labelled", "3"], {"labelled": 3}),
        (["--labelled", "0"], {"labelled": 0}),
        (["--rate", "0"], {"rate": 0.0}),
        (["--compile"], {"compile": True}),
        (["--no-compile"], {"compile": False}),
        (["--precision", "bf16"], {"precision": "bf16"}),
        (["--networks", "unet,unet"], {"networks": "unet,unet"}),
        (["--folders", "a", "--folders", "b"], {"folders": [Path("a"), Path("b")]}),
    ],
)
def test_types(arguments: list[str], overrides: dict[str, Any]) -> None:
    assert run("here", *arguments) == (0, f"here run {overrides}\n")


@pytest.mark.parametrize(
    "arguments", [["--labelled", "many"], ["--precision", "int8"], ["--seed", "1"], ["--data", "x"]]
)
def test_usage_errors(arguments: list[str]) -> None:
    assert run("here", *arguments)[0] == 2


def test_help_shows_panels_choices_and_defaults() -> None:
    code, text = run("--help")
    assert code == 0
    for words in ("Do it.", "─ Data ─", "─ How fast ─", "Learning rate. [default: (0.002)]"):
        assert words in text
    assert "[default: (unet,swin)]" in text
    assert "fp32|bf16" in text
    assert "Compile the networks. [default" not in text


def test_a_name_in_two_groups_is_refused() -> None:
    class Twice(BaseModel):
        first: Speed
        second: Speed

    with pytest.raises(TypeError, match="Twice: two groups have a setting of the same name"):
        options_from(Twice)


def test_train_has_an_option_for_every_setting() -> None:
    import inspect

    from ctct.cli.train import train
    from ctct.training.config import GROUP_OF

    options = set(inspect.signature(train).parameters)
    assert GROUP_OF.keys() - options == set()
    assert options - GROUP_OF.keys() == {"out", "resume", "config", "device", "devices"}
