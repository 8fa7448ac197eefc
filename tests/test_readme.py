"""Runs the examples of the README and of the guides."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctct.model_files.model_file import default_model_path

ROOT = Path(__file__).resolve().parents[1]


def example(marker: str, page: str = "README.md") -> str:
    """Return the Python block after ``<!-- marker -->``."""
    content = (ROOT / page).read_text(encoding="utf-8")
    (text,) = re.findall(rf"<!-- {marker} -->\n```python\n(.*?)```", content, re.DOTALL)
    return str(text)


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
    text = example("consumer", "docs/how-to/export.md")
    assert len(text.splitlines()) <= 15
    assert "ctct" not in text
    ctct("sample", tmp_path, "--frames", 2)
    (scan,) = (p for p in tmp_path.iterdir() if not p.name.endswith("_gt.nii.gz"))
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "model.onnx").symlink_to(default_model_path())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["consumer.py", scan.name])
    exec(compile(text, "export.md", "exec"), {})
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
    text = example("triton", "docs/how-to/triton.md")
    compile(text, "triton.md", "exec")
    assert len(text.splitlines()) <= 15
