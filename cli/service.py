"""What ``ctct node`` and ``ctct watch`` share: running until they are told to end."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ctct.node.settings import NodeSettings


def check_extra(*packages: str) -> None:
    """Check that packages of the extra ``node`` are installed.

    Raises:
        RuntimeUnavailableError: one is not.
    """
    from ctct.errors import RuntimeUnavailableError
    from ctct.installation import how_to_install

    for package in packages:
        if find_spec(package) is None:
            raise RuntimeUnavailableError(f"this needs {package}; {how_to_install('node')}")


def serve(settings: NodeSettings, retry_failed: bool = False) -> None:
    """Run a node until Ctrl-C or SIGTERM."""
    from ctct.node.service import Node

    for name in ("pynetdicom", "dicomweb_client", "pydicom", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # they quote headers and UIDs
    warnings.simplefilter("ignore")
    threading.excepthook = _tell_fault
    logging.getLogger("ctct").handlers[0].setFormatter(_formatter())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Node(settings) as node:
        if retry_failed:
            typer.echo(f"failed studies that are tried again: {node.retry_failed()}")
        if node.listener and settings.listener:
            s = settings.listener
            typer.echo(f"{s.ae_title}@{s.host}:{node.listener.port} listens (Ctrl-C to stop)")
        if settings.polling:
            typer.echo(f"{settings.polling.url} is asked every {settings.polling.interval_s:g} s")
        if settings.watched:
            typer.echo(f"{settings.watched} is watched (Ctrl-C to stop)")
        if node.status_page:
            typer.echo(f"http://127.0.0.1:{node.status_page.port}/health and /metrics")
        while not stop.wait(0.5):
            pass


def _tell_fault(fault: threading.ExceptHookArgs) -> None:
    """A connection that fails is told by its kind alone: a message may quote a header."""
    logging.getLogger("ctct.node").error("a thread failed: %s", fault.exc_type.__name__)


def _formatter() -> logging.Formatter:
    from ctct.cli.messages import OneLineFormatter

    return OneLineFormatter("%(asctime)s %(levelname)s %(message)s")
