"""The page as programs use it."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from ctct.io.nifti import encode_study
from ctct.synthetic import synthetic_cine

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def segment(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Send a file with a new client."""
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    gradio_client = pytest.importorskip("gradio_client", reason="needs pip install 'ctct[demo]'")

    def call(path: Path, *arguments: str) -> dict[str, Any]:
        client = gradio_client.Client(url, verbose=False)
        found: dict[str, Any] = client.predict(
            gradio_client.handle_file(path), *arguments, api_name="/segment"
        )
        return found

    return call


def leftover_files() -> list[Path]:
    """Uploads on the server's disk, without empty files."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]).parent
    return [path for path in folder.glob("**/*") if path.is_file() and path.stat().st_size]


def test_the_example_of_the_readme_matches_the_command_line(
    url: str,
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ctct: Callable[..., Any],
) -> None:
    marked = r"<!-- demo-api -->\n```python\n(.*?)```"
    (text,) = re.findall(marked, README.read_text(encoding="utf-8"), re.DOTALL)
    assert "http://127.0.0.1:7860" in text
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "")  # set by the example
    scan.rename("cine.nii.gz")
    exec(compile(text.replace("http://127.0.0.1:7860", url), "README.md", "exec"), {})
    assert "'LVEF (%)': " in capsys.readouterr().out
    assert ctct("predict", "cine.nii.gz", "-o", "out").code == 0
    for name in ("cine_seg.nii.gz", "measurements.csv", "frames.csv"):
        assert Path(name).read_bytes() == Path("out", name).read_bytes(), name
    assert b"<html" in Path("report.html").read_bytes()
    assert leftover_files() == []


def test_ten_at_once_wait_in_turn_and_each_gets_its_own_result(
    segment: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """The last two send the same files as the first two, under the same name."""
    slices = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3]
    paths = [tmp_path / str(n) / "scan.nii.gz" for n in range(10)]
    for number, path in zip(slices, paths, strict=True):
        study, labels = synthetic_cine(frames=1, slices=number)
        path.parent.mkdir()
        path.write_bytes(encode_study(study, labels)[study.name])
    with ThreadPoolExecutor(10) as visitors:
        found = list(visitors.map(segment, paths))
    labels = [base64.b64decode(one["files"]["scan_seg.nii.gz"]) for one in found]
    for number, content in zip(slices, labels, strict=True):
        path = tmp_path / "labels.nii.gz"
        path.write_bytes(content)
        assert nib.load(path).shape[2] == number
    assert labels[8:] == labels[:2]
    assert leftover_files() == []


def test_errors_reach_a_program(
    segment: Callable[..., dict[str, Any]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "private-name.txt"
    bad.write_bytes(b"private content")
    with pytest.raises(Exception, match=r"^private-name\.txt: not a NIfTI file"):
        segment(bad)
    with pytest.raises(Exception, match=r"'torch': choose one of openvino"):
        segment(bad, "torch")
    assert "private" not in "".join(capfd.readouterr())
    assert leftover_files() == []
