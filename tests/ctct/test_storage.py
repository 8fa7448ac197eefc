from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ctct.errors import OutputError
from ctct.storage import prepare_folder, strict_json, write_atomic


def test_content_arrives_whole_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written .No space left"):
        write_atomic(tmp_path / "a.bin", b"content")
    assert list(tmp_path.iterdir()) == []


def test_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="choose another output folder"):
        prepare_folder(tmp_path / "out")


def test_json_has_null_for_what_json_lacks() -> None:
    content = {"a": [math.nan, (math.inf, 1.5)], "b": {"c": "NaN"}}
    assert json.loads(strict_json(content)) == {"a": [None, [None, 1.5]], "b": {"c": "NaN"}}
