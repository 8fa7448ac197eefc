"""Layout and events of the page, and the server behind it."""

from __future__ import annotations

import ipaddress
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

# Before gradio is imported: it asks its makers' servers for news otherwise.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from ctct.demo.answer import in_words, label_scan, measure_scan, sample_file, write_sample
from ctct.demo.viewer import viewer_iframe
from ctct.demo.words import (
    answers_html,
    commands_text,
    message_html,
    montage_html,
    waiting_html,
)
from starlette.middleware import Middleware

from ctct.api import measure
from ctct.errors import ConfigError
from ctct.inference.segmenter import Segmenter

log = logging.getLogger(__name__)

#: Of the compressed file.
MAX_UPLOAD_MB = 256

#: Visitors who may wait for their turn.
MOST_WAITING = 30

#: An upload that its visitor left alone is deleted after this time.
UNUSED_S = 900

#: What the browser may load: this server's own files and pictures within the page, nothing else.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self' blob:; "
    "form-action 'self'; base-uri 'self'"
)

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")

Events = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What the page was started with, for the commands it shows."""

    model: str = "default"
    runtime: str = "auto"
    device: str = "auto"


class ContentPolicy:
    """Sends :data:`POLICY` with every answer (ASGI middleware)."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Events, receive: Any, send: Any) -> None:
        """Pass on, with the header added where an answer begins."""

        async def send_with_policy(message: Events) -> None:
            if message["type"] == "http.response.start":
                extra = [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


def build(segmenter: Segmenter, settings: Settings, private: Path) -> gr.Blocks:
    """The page.

    Args:
        segmenter: labels every visitor's scan, one at a time.
        settings: for the commands shown.
        private: folder for what visitors upload, nobody else's to read.
    """
    running: set[str] = set()

    def take(upload: str, earlier: str) -> tuple[str, None]:
        """Into a folder of this visitor's own: two uploads of the same file share one path."""
        if earlier not in running:
            discard(earlier)
        folder = Path(tempfile.mkdtemp(dir=private))
        return str(shutil.move(upload, str(folder / Path(upload).name))), None

    def take_sample(earlier: str) -> str:
        if earlier not in running:
            discard(earlier)
        return str(write_sample(Path(tempfile.mkdtemp(dir=private))))

    def discard(path: str) -> None:
        if path:
            shutil.rmtree(Path(path).parent, ignore_errors=True)

    def show(path: str, progress: gr.Progress = gr.Progress()) -> Iterator[list[Any]]:  # noqa: B008
        """Fill the page, the viewer first; the scan is deleted whatever happens."""
        scan = Path(path)
        if not scan.is_file():  # replaced by this visitor's next one before its turn came
            yield [gr.skip()] * len(filled)
            return
        running.add(path)
        try:
            labelled = label_scan(scan, segmenter, lambda stage, share: progress(share, desc=stage))
            viewer = viewer_iframe(labelled.segmentation, measure(labelled.segmentation))
            commands = commands_text(scan.name, asdict(settings))
            hidden = gr.update(visible=False)
            yield [viewer, waiting_html("Measuring and writing the report…"), "", commands, hidden]
            found = measure_scan(labelled, segmenter)
            beside = answers_html(labelled, found, segmenter)
            yield [gr.skip(), beside, montage_html(found), gr.skip(), gr.update(visible=True)]
        except Exception as error:
            log.debug("a scan failed", exc_info=error)
            yield [message_html(in_words(error, scan)), "", "", "", gr.update(visible=False)]
        finally:
            discard(path)
            running.discard(path)

    with gr.Blocks(
        title="ctct demo", analytics_enabled=False, delete_cache=(UNUSED_S // 3, UNUSED_S)
    ) as page:
        gr.HTML(
            '<div class="ctct-head"><h1>Heart segmentation of a short-axis cine</h1>'
            "<p>Research use only: not a medical device. Scans are deleted once they are labelled."
            "</p></div>"
        )
        with gr.Row(equal_height=True):
            upload = gr.File(
                label=f"A cine as NIfTI (.nii, .nii.gz; up to {MAX_UPLOAD_MB} MB)",
                file_types=[".nii", ".gz"],
                height=104,
                scale=4,
                elem_id="upload",
            )
            sample = gr.Button("Try the sample", variant="primary", scale=1, elem_id="sample")
        scan = gr.State("", time_to_live=UNUSED_S, delete_callback=discard)
        with gr.Row():
            with gr.Column(scale=8, min_width=340):
                viewer = gr.HTML(elem_id="viewer", min_height=120)
            with gr.Column(scale=5, min_width=300):
                beside = gr.HTML(elem_id="answers")
        with gr.Column(visible=False) as more:
            with gr.Accordion("ED and ES from base to apex", open=True):
                montage = gr.HTML(elem_id="montage")
            with gr.Accordion("The same from the command line and from Python", open=False):
                commands = gr.Code(language="shell", show_label=False, interactive=False)
        filled = [viewer, beside, montage, commands, more]
        work: Events = {
            "fn": show,
            "inputs": scan,
            "outputs": filled,
            "show_progress_on": viewer,
            "concurrency_id": "segmenter",
            "concurrency_limit": 1,
            "api_visibility": "private",
        }
        quick: Events = {"show_progress": "hidden", "api_visibility": "private"}
        upload.upload(take, [upload, scan], [scan, upload], queue=False, **quick).success(**work)
        sample.click(take_sample, scan, scan, **quick).success(**work)
    page.queue(max_size=MOST_WAITING)
    return page


def theme() -> gr.themes.Base:
    """Gradio's plain theme in the fonts of the system, so that none is fetched."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=SYSTEM_FONTS,
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )


@contextmanager
def serving(
    segmenter: Segmenter, settings: Settings, host: str = "127.0.0.1", port: int | None = None
) -> Iterator[str]:
    """Serve the page as long as the context lasts; what visitors uploaded goes with it.

    Args:
        segmenter: labels the scans.
        settings: for the commands shown.
        host: address to listen at.
        port: None for the first free one from 7860.

    Yields:
        The page's address.

    Raises:
        ConfigError: nothing can listen there.
    """
    with tempfile.TemporaryDirectory(prefix="ctct-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        page = build(segmenter, settings, Path(folder))
        threading.Thread(target=sample_file, daemon=True).start()  # ready when it is asked for
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
