"""Fixtures for all tests: a command runner, a fast runtime, a cine, a browser, the real data."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests_support import ThresholdRuntime

from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.model_files.model_file import ModelFile, find_model

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def acdc() -> Path:
    """The real ACDC patients, in the layout of the official download."""
    folder = SHARED / "acdc" / "training"
    if not folder.is_dir():
        pytest.skip(f"needs the ACDC data in {folder}")
    return folder


@pytest.fixture(scope="session")
def scd() -> Path:
    """Two real cines with the contours of their ED and ES."""
    folder = SHARED / "scd"
    if not folder.is_dir():
        pytest.skip(f"needs the Sunnybrook data in {folder}")
    return folder


@pytest.fixture(scope="session")
def dicom_studies() -> Path:
    """Zips of whole DICOM studies."""
    folder = SHARED / "dicom"
    if not folder.is_dir():
        pytest.skip(f"needs the DICOM studies in {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _separate_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled models of tests out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTCT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _restore_ctrl_c() -> None:
    """A shell starts background jobs with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def ctct(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run the command line in this process."""
    from ctct.cli.main import run

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ctct", *map(str, arguments)])
        capsys.readouterr()
        try:
            run()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def threshold() -> Segmenter:
    """A segmenter that needs no weights."""
    return Segmenter(ModelFile(Path("threshold.onnx"), {}, "0" * 64), ThresholdRuntime())


@pytest.fixture(scope="session")
def default_model() -> ModelFile:
    """The bundled model."""
    return find_model()


@pytest.fixture(scope="session")
def cine() -> tuple[Study, np.ndarray]:
    """The synthetic cine of ``ctct sample``, four frames of it, and its true labels."""
    from ctct.synthetic import synthetic_cine

    return synthetic_cine(seed=0, frames=4)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=path, args=["--no-sandbox"])
