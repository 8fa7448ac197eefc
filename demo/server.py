"""The server of the page: its address, its content policy, and the deletion of uploads."""

from __future__ import annotations

import ipaddress
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from typing import Any

# Before gradio is imported, which would contact the servers of its makers otherwise.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from ctct.demo.app import MAX_UPLOAD_MB, build
from ctct.demo.engines import Engines
from ctct.demo.folders import demo_folder
from ctct.demo.samples import FIRST, sample_file
from ctct.demo.uploads import Uploads
from ctct.demo.visits import COOKIE, owner_of, uploading
from ctct.errors import ConfigError

#: The browser may load files of this server and pictures inside the page, nothing else.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self' blob:; "
    "form-action 'self'; base-uri 'self'"
)

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")


#: Seconds from one deletion of abandoned uploads to the next.
SWEEP_S = 30

App = Callable[..., Awaitable[None]]


class ContentPolicy:
    """ASGI middleware that sends :data:`POLICY` with every response."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, and add the headers to its response."""

        async def send_with_policy(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                extra = [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


class Reception:
    """ASGI middleware that knows who is on the page, and limits what they upload.

    A visitor has a cookie. A tab is the session that Gradio's page keeps a connection open for.
    """

    def __init__(self, app: App, uploads: Uploads) -> None:
        self.app, self.uploads = app, uploads

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, unless it uploads more than there is room for."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, path = Request(scope), scope["path"]
        visitor = request.cookies.get(COOKIE, "")
        owner = owner_of(visitor)
        _, is_heartbeat, tab = path.rpartition("/heartbeat/")
        tab = tab if is_heartbeat else request.query_params.get("session_hash", "")
        if scope["method"] == "POST" and path.endswith("/upload"):
            size = request.headers.get("content-length", "")
            if not size.isdecimal():
                refuse = PlainTextResponse("the size is missing (Content-Length)", 411)
                await refuse(scope, receive, send)
                return
            with self.uploads.room(int(size)) as fits, uploading(owner):
                refuse = PlainTextResponse("too many scans wait here; try again later", 413)
                await (self.app if fits else refuse)(scope, receive, send)
        else:
            with self.uploads.visits.connection(owner, *([tab] if tab else [])):
                await self.app(scope, receive, send if visitor else _with_cookie(send))


def _with_cookie(send: Any) -> Any:
    """``send`` that also gives the visitor a cookie."""
    cookie = f"{COOKIE}={secrets.token_urlsafe()}; Path=/; HttpOnly; SameSite=Lax"

    async def send_with_cookie(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
        await send(message)

    return send_with_cookie


def theme() -> gr.themes.Base:
    """Gradio's base theme in system fonts, so that none is fetched."""
    plain = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=SYSTEM_FONTS,
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )
    # Darker where the contrast would be below 4.5 to 1.
    return plain.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


@contextmanager
def serving(engines: Engines, host: str = "127.0.0.1", port: int | None = None) -> Iterator[str]:
    """Serve the page inside a context; uploads are deleted at its end.

    Args:
        engines: label the scans.
        host: address to listen on.
        port: to listen on; None for the first free one from 7860.

    Yields:
        The address of the page.

    Raises:
        ConfigError: the server cannot listen there.
    """
    with demo_folder() as folder:
        engines.folder = folder / "networks"
        engines.folder.mkdir()
        uploads = Uploads(folder)
        os.environ["GRADIO_TEMP_DIR"] = str(uploads.arrived)
        page = build(engines, uploads)
        # Made ahead, so that the first click finds it ready.
        threading.Thread(target=sample_file, args=[FIRST], daemon=True).start()
        try:
            page.launch(
                server_name=host,
                server_port=port,
                theme=theme(),
                css=(resources.files("ctct.demo") / "page.css").read_text("utf-8"),
                max_file_size=MAX_UPLOAD_MB * 2**20,
                app_kwargs={
                    "middleware": [Middleware(ContentPolicy), Middleware(Reception, uploads)]
                },
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
                f"cannot listen on {host}, port {port or 'from 7860 on'} ({error}); "
                "choose another --host or --port"
            ) from error
        stopped = threading.Event()
        threading.Thread(target=_sweep, args=[uploads, stopped], daemon=True).start()
        try:
            yield page.local_url
        finally:
            stopped.set()
            page.close(verbose=False)


def _sweep(uploads: Uploads, stopped: threading.Event) -> None:
    while not stopped.wait(SWEEP_S):
        with suppress(OSError):  # a file may be deleted by someone else meanwhile
            uploads.sweep()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
