"""``/health`` and ``/metrics`` for this machine alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ctct.errors import ConfigError

_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class StatusPage:
    """Serves what two functions tell, on loopback.

    Args:
        port: 0 for any.
        problems: what is wrong with the node now; empty if nothing is.
        metrics: numbers about it, as OpenMetrics text.

    Raises:
        ConfigError: the port is taken.
    """

    def __init__(
        self, port: int, problems: Callable[[], list[str]], metrics: Callable[[], str]
    ) -> None:
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(problems, metrics))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"--status-port {port}: cannot listen there ({error}); choose another port"
            ) from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


def _handler(
    problems: Callable[[], list[str]], metrics: Callable[[], str]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5
        server_version, sys_version = "ctct", ""

        def do_GET(self) -> None:
            if self.path == "/health":
                found = problems()
                body = json.dumps({"status": "failing" if found else "ok", "problems": found})
                self._answer(503 if found else 200, "application/json", body)
            elif self.path == "/metrics":
                self._answer(200, _METRICS_TYPE, metrics())
            else:
                self._answer(404, "text/plain", "/health or /metrics")

        def _answer(self, status: int, kind: str, body: str) -> None:
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *values: Any) -> None:
            pass

    return Handler
