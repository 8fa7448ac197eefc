"""Checks that the wheel contains every file of the tree, and that its entry points load."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAPPED = {"ctct": "ctct", "cli": "ctct/cli", "demo": "ctct/demo", "exporters": "ctct/exporters"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build a wheel from a copy of the tree and return the names of its files."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*MAPPED, "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (path,) = (folder / "dist").glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


def test_the_wheel_has_the_licenses_of_code_and_weights(wheel: set[str]) -> None:
    licenses = {n.split("/licenses/")[1] for n in wheel if ".dist-info/licenses/" in n}
    assert licenses == {"LICENSE", "ctct/weights/LICENSE"}


def test_wheel_and_tree_hold_the_same_files(wheel: set[str]) -> None:
    expected = {
        f"{target}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, target in MAPPED.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel if ".dist-info/" not in name} == expected


def test_entry_points_load() -> None:
    (script,) = entry_points(group="console_scripts", name="ctct")
    assert callable(script.load())
