"""Runs the examples of the README and checks its links, commands and options."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctct.model_files.model_file import default_model_path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def example(marker: str) -> str:
    """Return the Python block after ``<!-- marker -->``."""
    (text,) = re.findall(rf"<!-- {marker} -->\n```python\n(.*?)```", README, re.DOTALL)
    return text


def test_the_python_example_runs(
    ctct: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scan = ctct("sample", tmp_path, "--frames", 2).out.split()[0]
    Path(scan).rename(tmp_path / "cine.nii.gz")
    monkeypatch.chdir(tmp_path)
    exec(compile(example("api"), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "'LVEDV (mL)': " in printed
    assert "'LVEF (%)': " in printed


def test_a_consumer_without_ctct_says_the_same(
    ctct: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    text = example("consumer")
    assert len(text.splitlines()) <= 15
    assert "ctct" not in text
    ctct("sample", tmp_path, "--frames", 2)
    (scan,) = (p for p in tmp_path.iterdir() if not p.name.endswith("_gt.nii.gz"))
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "model.onnx").symlink_to(default_model_path())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["consumer.py", scan.name])
    exec(compile(text, "README.md", "exec"), {})
    flags = ("--keep-all-components", "--no-heart-crop")
    assert ctct("predict", scan, "-o", "out", *flags).code == 0
    from_example = nib.load(tmp_path / "labels.nii.gz")
    ours = nib.load(next(Path("out").glob("*_seg.nii.gz")))
    assert from_example.shape == ours.shape
    np.testing.assert_allclose(from_example.affine, ours.affine)
    labels, expected = (np.asarray(image.dataobj) for image in (from_example, ours))
    assert expected.max() == 3
    assert np.mean(labels == expected) > 0.9999


def test_the_triton_client_is_python_of_fifteen_lines() -> None:
    text = example("triton")
    compile(text, "README.md", "exec")
    assert len(text.splitlines()) <= 15


def test_every_file_it_points_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (Path(__file__).resolve().parents[1] / link).exists(), link


def test_every_command_and_option_it_names_is_there(ctct: Callable[..., object]) -> None:
    shells = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    used = re.findall(r"\bctct (\w+)((?:[ \t]+[^#&\n]+)?)", shells)
    commands = {"sample", "predict", "evaluate", "train", "pack", "export", "benchmark", "demo"}
    assert {command for command, _ in used} == commands
    for command, arguments in used:
        # The commands below ``benchmark`` have options of their own.
        below = arguments.split()[:1] if command == "benchmark" else []
        described = ctct(command, *below, "--help").out
        for option in re.findall(r"--[\w-]+", arguments):
            assert option in described, f"ctct {command} {option}"
