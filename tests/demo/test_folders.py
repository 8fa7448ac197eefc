"""A demo has a folder of its own, and removes those of demos that crashed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctct.demo.folders import demo_folder

HOLD = """
import time
from ctct.demo.folders import demo_folder
with demo_folder() as folder:
    (folder / "scan.nii.gz").write_bytes(b"voxels")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path.resolve()


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another demo."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_folders_of_running_demos_stay_and_those_of_crashed_ones_go(
    other: subprocess.Popen[str],
) -> None:
    assert other.stdout is not None
    folder = Path(other.stdout.readline().strip())
    with demo_folder() as first, demo_folder() as second:
        assert first != second
        assert first.is_dir()
        assert (folder / "scan.nii.gz").exists()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not first.exists()
    other.kill()
    other.wait()
    assert folder.exists()
    with demo_folder():
        assert not folder.exists()


def test_only_own_folders_are_swept(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"")
    (temporary / "ctct-demo-link").symlink_to(elsewhere)
    (temporary / "ctct-demo-file").write_bytes(b"")
    (temporary / "ctct-demo-old").mkdir()  # without a lock, of an earlier version
    with demo_folder():
        assert (elsewhere / "file").exists()
        assert (temporary / "ctct-demo-file").exists()
        assert not (temporary / "ctct-demo-old").exists()
    theirs = temporary / "ctct-demo-theirs"
    theirs.mkdir()
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    with demo_folder():
        assert theirs.exists()
