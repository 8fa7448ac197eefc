"""A running page and a real browser; skipped where one of them is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctct.io.nifti import encode_study
from ctct.io.study import Study


@pytest.fixture(scope="session")
def url(_separate_cache: None) -> Iterator[str]:
    """Address of the page, served with the bundled model."""
    pytest.importorskip("gradio", reason="needs the extra demo")
    from ctct.demo import server
    from ctct.demo.settings import ServerSettings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "SWEEP_S", 0.5)
        with server.serving(ServerSettings()) as address:
            yield address


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Open the page as a new visitor, whose pictures do not move by themselves."""
    contexts = []

    def open_page(**options: Any) -> Any:
        usual = {"viewport": {"width": 1366, "height": 768}, "reduced_motion": "reduce"}
        contexts.append(browser.new_context(**usual | options))
        page = contexts[-1].new_page()
        page.set_default_timeout(180_000)
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def stored(url: str) -> Callable[[], list[Path]]:
    """Lists what the server has of its visitors; the files that Gradio makes are empty."""

    def list_files() -> list[Path]:
        folder = Path(os.environ["GRADIO_TEMP_DIR"]).parent
        found = (path for path in folder.rglob("*") if "networks" not in path.parts)
        return [path for path in found if path.is_file() and path.stat().st_size]

    return list_files


@pytest.fixture
def scan(cine: tuple[Study, np.ndarray], tmp_path: Path) -> Path:
    """Four frames of the synthetic cine as a file."""
    study, labels = cine
    path = tmp_path / "four frames.nii.gz"
    path.write_bytes(encode_study(study, labels)[study.name])
    return path
