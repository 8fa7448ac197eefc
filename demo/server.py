"""The server of the page: its address, its limits, and the deletion of uploads."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources

# Before gradio is imported, which would contact the servers of its makers otherwise.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ctct.demo.access import HostCheck, PasswordFile, TrustedHeader
from ctct.demo.app import MAX_UPLOAD_MB, build
from ctct.demo.connections import BodyDeadline, ImpatientProtocol
from ctct.demo.folders import demo_folder
from ctct.demo.quotas import HourlyQuota
from ctct.demo.reception import VISITOR, ContentPolicy, Reception
from ctct.demo.samples import FIRST, sample_file
from ctct.demo.settings import ServerSettings
from ctct.demo.uploads import Uploads
from ctct.demo.worker import Worker
from ctct.errors import ConfigError

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")

#: Seconds from one deletion of abandoned uploads to the next.
SWEEP_S = 30

FIRST_PORT, PORTS = 7860, 100
#: Connections at once; a visitor's page keeps two open.
MAX_CONNECTIONS = 400


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
def serving(settings: ServerSettings) -> Iterator[str]:
    """Serve the page inside a context; uploads are deleted at its end.

    Args:
        settings: where, and to whom.

    Yields:
        The address of the page.

    Raises:
        ConfigError: the server cannot listen there, or the file of passwords cannot be used.
        CtctError: the model cannot be loaded.
    """
    users = _users(settings)
    with demo_folder() as folder, _listen(settings.host, settings.port) as listening:
        networks = folder / "networks"
        networks.mkdir()
        uploads = Uploads(folder, settings.quotas)
        os.environ["GRADIO_TEMP_DIR"] = str(uploads.arrived)
        worker = Worker(settings.engines, networks, settings.deadline_s)
        # Made ahead, so that the first click finds it ready.
        threading.Thread(target=sample_file, args=[FIRST], daemon=True).start()
        app = _mount(build(worker, uploads, settings.root_path), uploads, settings, users)
        stopped = threading.Event()
        threading.Thread(target=_sweep, args=[uploads, stopped], daemon=True).start()
        try:
            with _running(app, listening):
                host = f"[{settings.host}]" if ":" in settings.host else settings.host
                yield f"http://{host}:{listening.getsockname()[1]}/"
        finally:
            stopped.set()
            worker.close()


def _users(settings: ServerSettings) -> list[Middleware]:
    """The middleware that knows users, where they have names."""
    backend: PasswordFile | TrustedHeader
    if settings.passwords:
        backend = PasswordFile(settings.passwords)
    elif settings.trusted_header:
        backend = TrustedHeader(settings.trusted_header, settings.proxies)
    else:
        return []
    return [Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.refuse)]


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens, at the port or the first free one.

    Raises:
        ConfigError: there is none.
    """
    for candidate in [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host.strip("[]"), candidate), family=family, backlog=128)
        except OSError as error:
            reason = error
    raise ConfigError(
        f"cannot listen on {host}, port {port or f'from {FIRST_PORT} on'} ({reason}); "
        "choose another --host or --port"
    )


def _mount(
    page: gr.Blocks, uploads: Uploads, settings: ServerSettings, users: list[Middleware]
) -> FastAPI:
    """The page behind all that a request passes, from the outside to the inside."""

    def waiting(visitor: str) -> int:
        queues = page._queue.event_queue_per_concurrency_id.values()
        waiting = (event for queue in list(queues) for event in list(queue.queue))
        return sum(event.request.scope.get(VISITOR) == visitor for event in waiting)

    quota = HourlyQuota(settings.quotas)
    app = FastAPI(
        openapi_url=None,
        middleware=[
            Middleware(ContentPolicy),
            Middleware(HostCheck, hosts=(settings.host, *settings.hosts)),
            *users,
            Middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies)),
            Middleware(BodyDeadline),
            Middleware(Reception, uploads=uploads, quota=quota, waiting=waiting),
        ],
    )
    files = resources.files("ctct.demo")
    # As launch() does. Otherwise clients could name any file of the server in place of an upload.
    page.has_launched = page.is_running = True
    gr.mount_gradio_app(
        app,
        page,
        "/",
        root_path=settings.root_path or None,
        theme=theme(),
        css=(files / "page.css").read_text("utf-8"),
        head=f"<script>{(files / 'templates' / 'page.js').read_text('utf-8')}</script>",
        max_file_size=MAX_UPLOAD_MB * 2**20,
        show_error=False,
        ssr_mode=False,
        footer_links=[],
        enable_monitoring=False,
        run_history=False,
    )
    return app


@contextmanager
def _running(app: FastAPI, listening: socket.socket) -> Iterator[None]:
    """Serve ``app`` in a thread inside a context."""
    config = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="none",
        proxy_headers=False,  # done after the user was checked, for whom it matters who connects
        server_header=False,
        log_level="critical",
        access_log=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=[[listening]], daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


def _sweep(uploads: Uploads, stopped: threading.Event) -> None:
    while not stopped.wait(SWEEP_S):
        with suppress(OSError):  # a file may be deleted by someone else meanwhile
            uploads.sweep()
