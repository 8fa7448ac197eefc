"""What the README shows is what happens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_the_python_example_runs(
    ctct: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    scan = ctct("sample", tmp_path, "--frames", 2).out.split()[0]
    Path(scan).rename(tmp_path / "cine.nii.gz")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "'LVEDV (mL)': " in printed
    assert "'LVEF (%)': " in printed


def test_every_file_it_points_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (Path(__file__).resolve().parents[1] / link).exists(), link


def test_every_command_and_option_it_names_is_there(ctct: Callable[..., object]) -> None:
    shells = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    used = re.findall(r"\bctct (\w+)((?:\s+[^#&\n]+)?)", shells)
    commands = {"sample", "predict", "evaluate", "train", "pack", "export"}
    assert {command for command, _ in used} == commands
    for command, arguments in used:
        described = ctct(command, "--help").out
        for option in re.findall(r"--[\w-]+", arguments):
            assert option in described, f"ctct {command} {option}"
