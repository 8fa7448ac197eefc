"""What stands beside the viewer: verdict, indices, times, downloads, as HTML."""

from __future__ import annotations

import base64
import mimetypes
import shlex
from collections.abc import Mapping

from ctct.demo.answer import Answer, Labelled

from ctct.inference.segmenter import Segmenter
from ctct.report.page import Markup, tag
from ctct.report.patient import indices_table, phases_text, pill


def answers_html(labelled: Labelled, answer: Answer, segmenter: Segmenter) -> Markup:
    """Verdict and reasons, table of indices, downloads, times."""
    result = answer.result
    judgement = result.judgement
    flags = [tag("li", flag.reason) for flag in judgement.flags]
    reasons = tag("ul", *flags) if flags else tag("p", "No flag was raised.", class_="note")
    return tag(
        "div",
        tag("h2", result.name, " ", pill(judgement.verdict)),
        tag("p", phases_text(result.measurements), ".", class_="note"),
        reasons,
        indices_table(result),
        downloads(answer.files),
        tag("p", times_text(labelled, answer, segmenter), class_="note"),
        class_="ctct",
    )


def downloads(files: Mapping[str, bytes]) -> Markup:
    """A link a file, which carries the file itself: none of them is kept on the server."""
    return tag(
        "nav", *map(_download, files, files.values()), class_="files", aria_label="Downloads"
    )


def _download(name: str, content: bytes) -> Markup:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    words = "label map (NIfTI)" if name.endswith("_seg.nii.gz") else name
    return tag("a", words, href=source, download=name)


def times_text(labelled: Labelled, answer: Answer, segmenter: Segmenter) -> str:
    """Time by stage, speed, runtime and device."""
    study, seconds = labelled.segmentation.study, answer.seconds
    slices = study.frames * study.slices
    stages = ", ".join(f"{stage} {took:.1f} s" for stage, took in seconds.items())
    rate = slices / max(seconds["segmenting"], 1e-9)
    runtime = segmenter.runtime
    return (
        f"{study.frames} × {study.slices} slices: {stages}; {rate:.0f} slices/s with "
        f"{runtime.name} on {runtime.device}, model {segmenter.model.path.name}."
    )


def montage_html(answer: Answer) -> Markup:
    """ED and ES from base to apex."""
    if not answer.result.picture:
        return Markup("")
    source = "data:image/jpeg;base64," + base64.b64encode(answer.result.picture).decode()
    words = "Contours of RV, myocardium and LV from base to apex, at ED and at ES"
    image = Markup(f'<img src="{source}" alt="{words}">')
    return tag("div", tag("div", image, class_="montage"), class_="ctct")


def message_html(words: str) -> Markup:
    """Why there is no result."""
    return tag("div", tag("p", words, class_="message", role="alert"), class_="ctct")


def waiting_html(words: str) -> Markup:
    """What is being done."""
    return tag("div", tag("p", words, class_="note", role="status"), class_="ctct")


def commands_text(file_name: str, settings: Mapping[str, str]) -> str:
    """The command line and the Python that do the same.

    Args:
        file_name: the scan.
        settings: options by name; those at "default" or "auto" are left out.
    """
    given = {name: value for name, value in settings.items() if value not in ("default", "auto")}
    options = "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items())
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return (
        f"ctct predict {shlex.quote(file_name)} -o results{options}\n\n"
        "# or from Python\nimport ctct\n"
        f"model = ctct.load_model({arguments})\n"
        f"segmentation = model.segment(ctct.read_study({file_name!r}))\n"
        "print(ctct.measure(segmentation).indices)\n"
    )
