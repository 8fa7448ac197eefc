"""What the page says."""

from __future__ import annotations

import base64
import re
import shlex
from pathlib import Path

import pytest

from ctct.errors import InputError

pytest.importorskip("gradio", reason="needs gradio: pip install 'ctct[demo]'")

from ctct.demo.answer import in_words
from ctct.demo.app import is_loopback
from ctct.demo.words import commands_text, downloads


def test_an_error_of_ours_is_shown_without_the_servers_folder() -> None:
    path = Path("/private/ab12/scan.nii.gz")
    assert in_words(InputError(f"{path}: truncated"), path) == "scan.nii.gz: truncated"


def test_any_other_error_says_nothing_of_the_inside() -> None:
    words = in_words(RuntimeError("secret of /private/ab12"), Path("scan.nii.gz"))
    assert "secret" not in words
    assert "NIfTI" in words


def test_a_download_carries_the_file() -> None:
    link = downloads({"<odd> name_seg.nii.gz": b"\x00label map"})
    content = re.search(r"base64,([^\"]+)\"", link)
    assert content is not None
    assert base64.b64decode(content[1]) == b"\x00label map"
    assert 'download="&lt;odd&gt; name_seg.nii.gz"' in link


def test_the_commands_are_those_of_the_settings() -> None:
    text = commands_text("my scan.nii.gz", {"model": "own.onnx", "runtime": "auto"})
    assert shlex.split(text.splitlines()[0]) == [
        *("ctct", "predict", "my scan.nii.gz", "-o", "results", "--model", "own.onnx")
    ]
    assert "load_model(model='own.onnx')" in text
    compile(text.split("\n\n", 1)[1], "shown", "exec")
    assert commands_text("a.nii", {"model": "default"}).startswith(
        "ctct predict a.nii -o results\n"
    )


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)],
)
def test_which_hosts_are_this_machine_alone(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
