"""Layout and events of the page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from ctct.demo.handlers import Request, give_back_memory, visit_page, visit_program
from ctct.demo.panels import describe_error, message_html
from ctct.demo.samples import FIRST, SAMPLES, sample_file
from ctct.demo.uploads import Uploads
from ctct.demo.visits import COOKIE
from ctct.demo.worker import Worker
from ctct.errors import InputError
from ctct.model_files.single_network import can_cut

log = logging.getLogger(__name__)

#: Largest upload, compressed.
MAX_UPLOAD_MB = 256

#: Length of the queue of visitors.
MAX_WAITING = 30

#: Entry of the list of engines to compare with.
NOTHING = "nothing"

Events = dict[str, Any]


def refusal(text: str) -> gr.Error:
    """An error that stays until its reader dismisses it."""
    return gr.Error(text, duration=None, print_exception=False)


def build(worker: Worker, scans: Uploads, root_path: str = "") -> gr.Blocks:
    """The page.

    Args:
        worker: labels the visitors' scans, one at a time.
        scans: keeps each scan until it is read.
        root_path: path of the page on a proxy, as in "/ctct".
    """
    with gr.Blocks(title="ctct demo", analytics_enabled=False) as page:
        gr.HTML(
            '<div class="ctct-head"><h1>Heart segmentation of a short-axis cine</h1>'
            "<p>Research use only: not a medical device. Scans are deleted once they are labelled."
            "</p><p id='ctct-status' role='status' aria-live='polite' class='unseen'></p></div>"
        )
        with gr.Row(equal_height=True):
            upload = gr.File(
                label=f"NIfTI, a zip of DICOM, or ED and ES together; up to {MAX_UPLOAD_MB} MB",
                file_count="multiple",
                height=96,
                scale=3,
                elem_id="upload",
            )
            with gr.Column(scale=2, min_width=320, elem_id="samples"):
                samples = {FIRST: gr.Button(FIRST, variant="primary", elem_id="sample")}
                with gr.Row():
                    for name in list(SAMPLES)[1:]:
                        samples[name] = gr.Button(name, size="sm", min_width=90)
        with gr.Accordion("Settings", open=False, elem_id="settings"), gr.Row():
            engine = gr.Dropdown(
                list(worker.options),
                value=worker.first,
                label="Model and runtime",
                info="Loaded when first used",
                filterable=False,
            )
            compare = gr.Dropdown(
                [NOTHING, *worker.options],
                value=NOTHING,
                label="Compare with",
                filterable=False,
                info="Times side by side, and agreement of the labels",
            )
            alone = gr.Checkbox(
                label="Each network alone, too",
                info="As layers, and as a range of every index; takes twice as long",
                interactive=can_cut(),
            )
        scan = gr.State("")  # its path on the server, which the browser does not get
        with gr.Row():
            with gr.Column(scale=8, min_width=340):
                viewer = gr.HTML(elem_id="viewer")
            with gr.Column(scale=5, min_width=300):
                beside = gr.HTML(elem_id="answers", min_height=120)
        with gr.Column(visible=False) as more:
            with gr.Accordion("Comparison", visible=False) as compared:
                comparison = gr.HTML(elem_id="comparison")
            with gr.Accordion("ED and ES from base to apex", open=True):
                montage = gr.HTML(elem_id="montage")
            with gr.Accordion(
                "The same from the command line, from Python and from other programs", open=False
            ):
                commands = gr.Code(
                    language="shell",
                    show_label=False,
                    interactive=False,
                    buttons=["copy"],
                    elem_id="commands",
                )

        parts = {
            "viewer": viewer,
            "beside": beside,
            "comparison": comparison,
            "montage": montage,
            "commands": commands,
        }

        def take(new: list[str] | str, earlier: str, http: gr.Request) -> tuple[str, None]:
            scans.discard(earlier)
            return take_uploads([new] if isinstance(new, str) else new, http), None

        def take_uploads(paths: list[str], http: gr.Request) -> str:
            visitor = http.cookies.get(COOKIE, "")
            try:
                return scans.take_together(paths, visitor, http.session_hash or "")
            except InputError as error:
                raise refusal(str(error)) from None

        def take_sample(name: str, earlier: str, http: gr.Request) -> str:
            if name not in list(SAMPLES):  # a client may send a value of any type
                raise refusal("no such sample")
            scans.discard(earlier)
            return scans.add(*sample_file(name), http.session_hash or "")

        def show(
            path: str,
            engine: str,
            compare: str,
            alone: bool,
            http: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008
        ) -> Iterator[Events]:
            """Fill the page, the viewer first; the scan is deleted as soon as it is read."""
            request = Request(engine, "" if compare in (NOTHING, engine) else compare, alone)

            def on_stage(stage: str, share: float) -> None:
                progress(share, desc=stage)

            url = f"{str(http.request.base_url).rstrip('/')}{root_path}/"
            try:
                with scans.claim(path) as file:
                    if file is None:  # its visitor has left, or has uploaded another one
                        return
                    visit = worker.run(visit_page, file, request, url, on_stage=on_stage)
                    next(visit)  # the scan is read
                with closing(visit):
                    yield {more: gr.update(visible=False)}
                    shown: Events = {}  # all so far: of two answers, a browser may show the last
                    for filled in visit:
                        shown |= {parts[name]: html for name, html in filled.items()}
                        yield shown
                yield shown | {
                    compared: gr.update(visible=bool(request.compare)),
                    more: gr.update(visible=True),
                }
            except Exception as error:
                log.debug("a scan failed", exc_info=error)
                message = message_html(describe_error(error, Path(path)))
                yield {viewer: message, beside: "", more: gr.update(visible=False)}
            finally:
                give_back_memory()

        def segment_for_program(scan: str | None, engine: str, http: gr.Request) -> dict[str, Any]:
            """Segment a scan; returns its verdict, indices and files (base64), and keeps none."""
            if not scan:
                raise refusal("no file was given")
            path = take_uploads([scan], http)
            try:
                with scans.claim(path) as file:
                    if file is None:
                        raise InputError(f"{path}: its sender has left")
                    visit = worker.run(visit_program, file, engine, on_stage=lambda *_: None)
                    next(visit)  # the scan is read
                answer: dict[str, Any]
                (answer,) = visit  # to its end, so that the process is free for the next one
                return answer
            except Exception as error:
                log.debug("a scan failed", exc_info=error)
                text = describe_error(error, Path(path))
                raise refusal(text) from None
            finally:
                give_back_memory()

        names = ", ".join(worker.options)
        one_at_a_time: Events = {"concurrency_id": "segmenter", "concurrency_limit": 1}
        work: Events = {
            "fn": show,
            "inputs": [scan, engine, compare, alone],
            "outputs": [*parts.values(), compared, more],
            "show_progress_on": beside,
            "api_visibility": "private",
            **one_at_a_time,
        }
        unqueued: Events = {"show_progress": "hidden", "api_visibility": "private"}
        upload.upload(take, [upload, scan], [scan, upload], queue=False, **unqueued).success(**work)
        for button in samples.values():
            button.click(take_sample, [button, scan], scan, **unqueued).success(**work)
        # Components of its own: Gradio prints on the server what those of the page refuse.
        gr.Button(visible=False).click(
            segment_for_program,
            [
                gr.File(label="NIfTI or a zip of DICOM", visible=False),
                gr.Textbox(worker.first, label=f"One of {names}", visible=False),
            ],
            gr.JSON(label="Verdict, indices and files", visible=False),
            api_name="segment",
            **one_at_a_time,
        )
    page.queue(max_size=MAX_WAITING, api_open=False)  # nothing passes the queue by
    return page
