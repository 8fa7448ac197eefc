"""``ctct demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from ctct.cli.options import DEVICE, MODEL, RUNTIME

SERVER = "Server"


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
) -> None:
    """Open a web page that segments the scans dropped on it.

    It shows the beating heart with its labels, and its measurements.
    """
    import logging
    import signal
    import sys
    import threading
    import warnings

    from ctct.errors import ConfigError

    try:
        from ctct.demo.server import is_loopback, serving
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ConfigError("ctct demo needs gradio: pip install 'ctct[demo]'") from error
    from ctct.demo.engines import Engines

    engines = Engines(models or ["default"], runtime, device)
    if not logging.getLogger("ctct").isEnabledFor(logging.DEBUG):
        # From here on, messages of any package would name visitors' files or quote their content.
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
    if not is_loopback(host):
        typer.echo(
            f"warning: --host {host} lets others on the network use this page; there is no "
            "password and no encryption",
            err=True,
        )
    # Service managers stop it by SIGTERM; visitors' uploads are deleted then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with serving(engines, host, port) as url:
        typer.echo(f"{url} (Ctrl-C to stop)")
        threading.Event().wait()
