"""The server behind the page: where it listens, what it lets a browser load, what it deletes."""

from __future__ import annotations

import ipaddress
import os
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

# Before gradio is imported: it asks its makers' servers for news otherwise.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from ctct.demo.app import MAX_UPLOAD_MB, build
from ctct.demo.engines import Engines
from ctct.demo.samples import FIRST, sample_file
from ctct.demo.uploads import Uploads
from starlette.middleware import Middleware

from ctct.errors import ConfigError

#: What the browser may load: this server's own files and pictures within the page, nothing else.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self' blob:; "
    "form-action 'self'; base-uri 'self'"
)

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")


class ContentPolicy:
    """Sends :data:`POLICY` with every answer (ASGI middleware)."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass on, with the header added where an answer begins."""

        async def send_with_policy(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                extra = [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


def theme() -> gr.themes.Base:
    """Gradio's plain theme in the fonts of the system, so that none is fetched."""
    plain = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=SYSTEM_FONTS,
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )
    # Darker where the contrast is less than 4.5 to 1.
    return plain.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


@contextmanager
def serving(engines: Engines, host: str = "127.0.0.1", port: int | None = None) -> Iterator[str]:
    """Serve the page as long as the context lasts; what visitors uploaded goes with it.

    Args:
        engines: label the scans.
        host: address to listen at.
        port: None for the first free one from 7860.

    Yields:
        The page's address.

    Raises:
        ConfigError: nothing can listen there.
    """
    with tempfile.TemporaryDirectory(prefix="ctct-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        page = build(engines, Uploads(Path(folder)))
        # Ready when it is asked for.
        threading.Thread(target=sample_file, args=[FIRST], daemon=True).start()
        try:
            page.launch(
                server_name=host,
                server_port=port,
                theme=theme(),
                css=(resources.files("ctct.demo") / "page.css").read_text("utf-8"),
                max_file_size=MAX_UPLOAD_MB * 2**20,
                app_kwargs={"middleware": [Middleware(ContentPolicy)]},
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                ssr_mode=False,
                footer_links=[],
                enable_monitoring=False,
                run_history=False,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {host}, port {port or 'from 7860 on'} ({error}); "
                "choose another --host or --port"
            ) from error
        try:
            yield page.local_url
        finally:
            page.close(verbose=False)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
