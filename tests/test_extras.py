"""The extras can be installed on every system, as a resolver sees it: with uv, from an index."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("linux", "aarch64-manylinux_2_40", "macos", "windows")
#: Packages without wheels: one that fetches its libraries' wheels, and one of plain Python and C++.
SOURCES = ("tensorrt-rtx-cu13", "medpy")
#: What uv says where there is no network or no index.
OFFLINE = ("error sending request", "dns error", "Failed to fetch", "network is unreachable")


def resolve(extras: str, system: str, python: str) -> list[str]:
    """The packages that an installation would bring, by name; only wheels count."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    done = subprocess.run(
        [
            *(uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
            *("--only-binary", ":all:", *(word for s in SOURCES for word in ("--no-binary", s))),
            *("--python-platform", system, "--python-version", python),
            *(word for extra in extras.split() for word in ("--extra", extra)),
            str(ROOT / "pyproject.toml"),
        ],
        capture_output=True,
        text=True,
    )
    if any(words.lower() in done.stderr.lower() for words in OFFLINE):
        pytest.skip(f"needs an index of packages: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return [line.split("==")[0] for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_everything_can_be_installed(system: str) -> None:
    packages = resolve("dev", system, "3.11")
    for_gpus = {"onnxruntime-gpu", "tensorrt-rtx-cu13", "cuda-python"}
    assert for_gpus & {*packages} == (set() if system == "macos" else for_gpus)
    # They overwrite each other's files.
    assert ("onnxruntime" in packages) == (system == "macos")


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_prediction_can_be_installed_for_the_newest_python(system: str) -> None:
    packages = resolve("demo dicom evaluate itk test", system, "3.14")
    assert "openvino" in packages
    assert "torch" not in packages
