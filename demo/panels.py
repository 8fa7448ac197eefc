"""What stands beside the viewer: verdict, indices, times, downloads, as HTML."""

from __future__ import annotations

import base64
import mimetypes
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ctct.demo.analysis import Answer, Labelled

from ctct.api import measure
from ctct.errors import CtctError
from ctct.evaluation.overlap import dice_by_structure
from ctct.report.html import Markup, table, tag
from ctct.report.patient_page import indices_table, phases_text, pill

#: Folders at the beginning of a path.
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^/\s:]+/)+")


def answers_html(answer: Answer, labelled: Labelled) -> Markup:
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
        tag("p", times_text(answer, labelled), class_="note"),
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


def times_text(answer: Answer, labelled: Labelled) -> str:
    """Time by stage, speed, runtime and device."""
    study = labelled.study
    stages = ", ".join(f"{stage} {took:.1f} s" for stage, took in answer.seconds.items())
    return (
        f"{study.frames} × {study.slices} slices: {stages}; "
        f"{labelled.slices_per_second:.0f} slices/s with {_with(labelled)}."
    )


def _with(labelled: Labelled) -> str:
    return f"{labelled.runtime}, model {labelled.model.path.name}"


def comparison_html(first: Labelled, second: Labelled) -> Markup:
    """Times of two engines on the same scan side by side, and how far their labels agree."""
    ours, theirs = first.segmentation.labels, second.segmentation.labels
    both = (first, second)
    rows = [
        ["with", *map(_with, both)],
        ["segmenting (s)", *(f"{one.seconds:.2f}" for one in both)],
        ["slices/s", *(f"{one.slices_per_second:.0f}" for one in both)],
    ]
    found = [measure(one.segmentation).indices for one in both]
    for index in ("LVEDV (mL)", "LVESV (mL)", "LVEF (%)"):
        if index in found[0]:
            rows.append([index, *(f"{one[index]:.2f}" for one in found)])
    agreement = ", ".join(f"{s} {d:.4f}" for s, d in dice_by_structure(ours, theirs).items())
    same = 100 * float(np.mean(ours == theirs))
    return tag(
        "div",
        table(["", *(one.engine for one in both)], rows),
        tag(
            "p", f"The same label in {same:.3f} % of the voxels; Dice over all frames: {agreement}."
        ),
        tag(
            "p",
            "Each labelled the first frame once before its time was taken. In the viewer the "
            "second is a layer of its own.",
            class_="note",
        ),
        class_="ctct",
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


def commands_text(
    file_name: str, options: Mapping[str, str], url: str = "", engine: str = ""
) -> str:
    """The command line and the Python that do the same, here and through this page.

    Args:
        file_name: the scan.
        options: by name; those at "default" or "auto" are left out.
        url: of this page.
        engine: what the page ran.
    """
    given = {name: value for name, value in options.items() if value not in ("default", "auto")}
    flags = "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items())
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return (
        f"ctct predict {shlex.quote(file_name)} -o results{flags}\n\n"
        "# or from Python\nimport ctct\n"
        f"model = ctct.load_model({arguments})\n"
        f"segmentation = model.segment(ctct.read_study({file_name!r}))\n"
        "print(ctct.measure(segmentation).indices)\n\n"
        "# or through this page\nimport os\n"
        "os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # gradio_client reports its use, else\n"
        "from gradio_client import Client, handle_file\n"
        f"client = Client({url!r})\n"
        f"found = client.predict(handle_file({file_name!r}), {engine!r}, api_name='/segment')\n"
        "print(found['indices'])\n"
    )


def in_words(error: Exception, path: Path) -> str:
    """What a visitor is told of an error: no folder of the server, and nothing of its insides."""
    if isinstance(error, CtctError):
        return _FOLDERS.sub("", str(error).replace(str(path), path.name))
    return "This file could not be processed; is it a short-axis cine, as NIfTI or a zip of DICOM?"
