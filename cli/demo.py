"""``ctct demo``."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="'default', or any model that ctct predict takes; several to choose from.",
        ),
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(
            help="To begin with: auto, openvino, onnxruntime, onnxruntime-trt, tensorrt or torch."
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The first free one from 7860.")
    ] = None,
) -> None:
    """Open a web page: drop a cine, see it beat with its labels, and read its numbers."""
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
        # From here on lines, whoever's, would name visitors' files or quote what is in them.
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
    if not is_loopback(host):
        typer.echo(
            f"warning: --host {host} lets others on the network use this page; there is no "
            "password and no encryption",
            err=True,
        )
    # A service manager's way to stop it: what visitors uploaded is deleted then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with serving(engines, host, port) as url:
        typer.echo(f"{url} (Ctrl-C to stop)")
        threading.Event().wait()
