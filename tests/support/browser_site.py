"""The files of the page in the browser, and a server for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser_support import need_node

from ctct.errors import RuntimeUnavailableError


def npm_packages() -> Path:
    """The page's npm packages, in the user's cache; the test is skipped without them."""
    need_node()
    from ctct.demo.static_page import fetch_packages

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CTCT_CACHE", raising=False)  # kept from one session to the next
        try:
            return fetch_packages()
        except RuntimeUnavailableError as error:
            pytest.skip(f"needs the npm packages of the page: {error}")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine alone; yields the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
