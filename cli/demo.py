"""``ctct demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctct.cli.options import DEVICE, MODEL, RUNTIME

SERVER = "Server"
PROXY = "Behind a proxy, and for known users"
LIMITS = "Limits"
STATIC = "A page without ctct on the server"


def demo(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="'default', or any model that ctct predict takes. Repeat it to offer several.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    runtime: RUNTIME = "auto",
    device: DEVICE = "auto",
    host: Annotated[
        str, typer.Option(help="Address to listen on.", rich_help_panel=SERVER)
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Default: the first free port from 7860.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Path under which a proxy serves the page, as /ctct.",
            rich_help_panel=PROXY,
        ),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name under which visitors reach the page. Repeat it for several.",
            rich_help_panel=PROXY,
        ),
    ] = None,
    auth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask for name and password; htpasswd -B makes the file.",
            rich_help_panel=PROXY,
        ),
    ] = None,
    trusted_header: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Serve those only whose name the proxy sends in this header, as X-Remote-User.",
            rich_help_panel=PROXY,
        ),
    ] = "",
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK",
            help="Address or network of the proxy. Repeat it for several. Default: this machine.",
            rich_help_panel=PROXY,
        ),
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=1, help="Longest time for a scan.", rich_help_panel=LIMITS
        ),
    ] = 300,
    max_scans: Annotated[
        int,
        typer.Option(min=1, help="Scans of a visitor in an hour.", rich_help_panel=LIMITS),
    ] = 300,
    max_scans_in_sum: Annotated[
        int,
        typer.Option(min=1, help="Scans of all visitors in an hour.", rich_help_panel=LIMITS),
    ] = 1000,
    static: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a page into DIR that segments in the visitor's browser, and serve nothing. "
            "Any web server can serve it. Needs Node.js, and npm the first time.",
            rich_help_panel=STATIC,
        ),
    ] = None,
    node_modules: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="npm packages for --static. Default: npm fetches them once.",
            rich_help_panel=STATIC,
        ),
    ] = None,
) -> None:
    """Open a web page that segments the scans dropped on it.

    It shows the beating heart with its labels, and its measurements.
    """
    if static is not None:
        _write_static_page(static, models or ["default"], node_modules)
        return
    import logging
    import signal
    import sys
    import threading
    import warnings

    from ctct.errors import ConfigError
    from ctct.installation import how_to_install

    try:
        from ctct.demo.server import serving
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ConfigError(f"ctct demo needs gradio; {how_to_install('demo')}") from error
    from ctct.demo.settings import LOOPBACK, Quotas, ServerSettings, is_loopback
    from ctct.demo.worker import EngineChoice

    settings = ServerSettings(
        EngineChoice(models or ["default"], runtime, device),
        host,
        port,
        root_path.rstrip("/"),
        tuple(allow_host or ()),
        auth,
        trusted_header,
        tuple(proxy or LOOPBACK),
        Quotas(hourly=max_scans, hourly_in_sum=max_scans_in_sum),
        deadline,
    )
    if not logging.getLogger("ctct").isEnabledFor(logging.DEBUG):
        # From here on, messages of any package would name visitors' files or quote their content.
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
    if not is_loopback(host) and not trusted_header:
        password = "" if auth else "no password and "
        typer.echo(
            f"warning: --host {host} lets others on the network use this page; there is {password}"
            "no encryption",
            err=True,
        )
    # Service managers stop it by SIGTERM; visitors' uploads are deleted then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with serving(settings) as url:
        typer.echo(f"{url} (Ctrl-C to stop)")
        threading.Event().wait()


def _write_static_page(folder: Path, models: list[str], node_modules: Path | None) -> None:
    from ctct.demo.static_page import write_static_page
    from ctct.errors import ConfigError

    if len(models) > 1:
        raise ConfigError("--static takes one --model")
    write_static_page(folder, models[0], node_modules)
    typer.echo(f"{folder}: serve it, for instance: python -m http.server -b 127.0.0.1 -d {folder}")
