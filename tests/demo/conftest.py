"""A running page and a real browser; skipped where one of them is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ctct.inference.segmenter import load_model


@pytest.fixture(scope="session")
def url(_cache_of_their_own: None) -> Iterator[str]:
    """Address of the page, served with the bundled model."""
    pytest.importorskip("gradio", reason="needs gradio: pip install 'ctct[demo]'")
    from ctct.demo.app import Settings, serving

    with serving(load_model(), Settings()) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Callable[[], Any]]:
    """Open the page as a new visitor, whose pictures do not move by themselves."""
    contexts = []

    def open_page() -> Any:
        contexts.append(
            browser.new_context(viewport={"width": 1366, "height": 768}, reduced_motion="reduce")
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
