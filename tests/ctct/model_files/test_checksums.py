"""A model that is not what its SHA256SUMS says is not loaded."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from ctct.errors import ModelError
from ctct.model_files.model_file import default_model_path, find_model, read_onnx


def test_the_bundled_files_are_those_of_the_sums() -> None:
    folder = default_model_path().parent
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert dict(reversed(line.split()) for line in lines) == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.onnx")
    }


@pytest.mark.parametrize("name", ["ctct-acdc.onnx", "ctct-acdc.heart_crop.onnx"])
def test_a_file_that_was_changed_is_refused(tmp_path: Path, name: str) -> None:
    for path in default_model_path().parent.iterdir():
        if (path.suffix == ".onnx" and "bf16" not in path.name) or path.name == "SHA256SUMS":
            shutil.copy(path, tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    message = (
        rf"{re.escape(name)}: its SHA-256 is \w{{12}}…, SHA256SUMS says \w{{12}}…; it is damaged"
    )
    with pytest.raises(ModelError, match=message):
        find_model(tmp_path / "ctct-acdc.onnx")
    with pytest.raises(ModelError, match=message):
        read_onnx(tmp_path / name)


def test_a_file_without_a_sum_is_accepted(tmp_path: Path) -> None:
    shutil.copy(default_model_path(), tmp_path / "mine.onnx")
    assert find_model(tmp_path / "mine.onnx").sha256
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  other.onnx\nno sum at all\n")
    assert find_model(tmp_path / "mine.onnx").sha256
