"""Former names of options still work, with one line of warning each."""

from __future__ import annotations

import pytest

from ctct.cli.commands import load_command
from ctct.cli.former_options import FORMER_OPTIONS, replace_former_options

RENAMED = [
    (command, former, present)
    for command, names in FORMER_OPTIONS.items()
    for former, present in names.items()
]


def test_present_names_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--heart-crop", "a.nii.gz", "-o", "out"]
    assert replace_former_options("predict", arguments) == arguments
    assert replace_former_options("info", ["--window"]) == ["--window"]
    assert capsys.readouterr() == ("", "")


def test_a_former_name_is_replaced_and_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    replaced = replace_former_options("train", ["data", "--start-from=default", "--window", "96"])
    assert replaced == ["data", "--init-from=default", "--heart-crop-size", "96"]
    assert capsys.readouterr().err.splitlines() == [
        "warning: --start-from is now --init-from; the next release drops the former name",
        "warning: --window is now --heart-crop-size; the next release drops the former name",
    ]


def test_arguments_after_two_dashes_are_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--licence", "CC0", "--", "--licence"]
    assert replace_former_options("export", arguments) == ["--license", "CC0", "--", "--licence"]
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("command", "former", "present"), RENAMED)
def test_each_present_name_is_an_option_and_no_former_one_is(
    command: str, former: str, present: str
) -> None:
    parameters = load_command(command).params
    names = {name for one in parameters for name in (*one.opts, *one.secondary_opts)}
    assert present.partition("=")[0] in names  # it may hold a value too
    assert former not in names
