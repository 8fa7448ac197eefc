"""``ctct demo``."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    model: Annotated[
        str, typer.Option(help="'default', or any model that ctct predict takes.")
    ] = "default",
    runtime: Annotated[
        str,
        typer.Option(help="auto, openvino, onnxruntime, onnxruntime-trt, tensorrt or torch."),
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

    from ctct.errors import ConfigError
    from ctct.inference.segmenter import load_model

    try:
        from ctct.demo.app import Settings, is_loopback, serving
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ConfigError("ctct demo needs gradio: pip install 'ctct[demo]'") from error

    segmenter = load_model(model, runtime, device)
    if not logging.getLogger("ctct").isEnabledFor(logging.DEBUG):
        # From here on lines would name visitors' files.
        logging.getLogger("ctct").setLevel(logging.CRITICAL)
    if not is_loopback(host):
        typer.echo(
            f"warning: --host {host} lets others on the network use this page; there is no "
            "password and no encryption",
            err=True,
        )
    # A service manager's way to stop it: what visitors uploaded is deleted then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with serving(segmenter, Settings(model, runtime, device), host, port) as url:
        typer.echo(f"{url} (Ctrl-C to stop)")
        threading.Event().wait()
