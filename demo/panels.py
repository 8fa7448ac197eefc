"""The parts of the page beside the viewer, as HTML, and its commands."""

from __future__ import annotations

import mimetypes
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from markupsafe import Markup

from ctct.demo.analysis import Answer, Labelled, measure_labels
from ctct.errors import CtctError
from ctct.evaluation.overlap import dice_by_structure
from ctct.installation import how_to_install
from ctct.measurement.volumes import Measurements
from ctct.report.html import render
from ctct.report.patient_page import describe_phases, indices_table

#: Folders at the beginning of a path.
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^/\s:]+/)+")

_render = partial(render, package="ctct.demo")


def answers_html(answer: Answer, labelled: Labelled) -> Markup:
    """Verdict and its reasons, table of indices, downloads, times."""
    result = answer.result
    return _render(
        "answers.html",
        result=result,
        phases=describe_phases(result.measurements),
        indices=indices_table(result),
        downloads=downloads_html(answer.files),
        times=describe_times(answer, labelled),
    )


def downloads_html(files: Mapping[str, bytes]) -> Markup:
    """A link for each file, by name, that contains the file."""
    links = [
        {
            "name": name,
            "label": "label map (NIfTI)" if name.endswith("_seg.nii.gz") else name,
            "kind": mimetypes.guess_type(name)[0] or "application/octet-stream",
            "content": content,
        }
        for name, content in files.items()
    ]
    return _render("downloads.html", files=links)


def describe_times(answer: Answer, labelled: Labelled) -> str:
    """Time of each stage, speed, runtime and device."""
    study = labelled.segmentation.study
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in answer.seconds.items())
    return (
        f"{study.frames} × {study.slices} slices: {stages}; "
        f"{labelled.slices_per_second:.0f} slices/s with {_describe_engine(labelled)}."
    )


def _describe_engine(labelled: Labelled) -> str:
    return f"{labelled.runtime}, model {labelled.model.path.name}"


def comparison_html(
    first: Labelled, second: Labelled, measured: Measurements | None = None
) -> Markup:
    """Times and indices of two engines on the same scan, and the agreement of their labels.

    Args:
        first: the labels of one engine.
        second: those of the other.
        measured: the measurements of the first, where they are known already.
    """
    both = (first, second)
    rows = {
        "with": [_describe_engine(labelled) for labelled in both],
        "segmenting (s)": [f"{labelled.seconds:.2f}" for labelled in both],
        "slices/s": [f"{labelled.slices_per_second:.0f}" for labelled in both],
    }
    measurements = (
        measured or measure_labels(first.segmentation),
        measure_labels(second.segmentation),
    )
    indices = [found.indices for found in measurements]
    for index in ("LVEDV (mL)", "LVESV (mL)", "LVEF (%)"):
        if index in indices[0]:
            rows[index] = [f"{values[index]:.2f}" for values in indices]
    a, b = (labelled.segmentation.labels for labelled in both)
    return _render(
        "comparison.html",
        engines=[labelled.engine for labelled in both],
        rows=rows,
        same_percent=100 * float(np.mean(a == b)),
        dice=[f"{structure} {dice:.4f}" for structure, dice in dice_by_structure(a, b).items()],
    )


def montage_html(answer: Answer) -> Markup:
    """ED and ES from base to apex; nothing where there is no picture."""
    picture = answer.result.picture
    return _render("montage.html", picture=picture) if picture else Markup()


def message_html(text: str) -> Markup:
    """Why there is no result."""
    return _render("message.html", text=text, style="message", role="alert")


def waiting_html(text: str) -> Markup:
    """The stage that is running."""
    return _render("message.html", text=text, style="note", role="status")


def commands_text(
    file_names: Sequence[str], options: Mapping[str, str], url: str = "", engine: str = ""
) -> str:
    """The command line and the Python that do the same, on this machine and through this page.

    Args:
        file_names: the file of the scan, or its files; Python and this page take one.
        options: options of ``ctct predict``; those at "default" or "auto" are left out.
        url: address of this page.
        engine: the engine that labelled the scan.
    """
    chosen = {name: value for name, value in options.items() if value not in ("default", "auto")}
    commands = _render(
        "commands.txt",
        quoted_names=shlex.join(file_names),
        flags="".join(f" --{name} {shlex.quote(value)}" for name, value in chosen.items()),
        name=repr(file_names[0]) if len(file_names) == 1 else None,
        arguments=", ".join(f"{name}={value!r}" for name, value in chosen.items()),
        url=repr(url),
        engine=repr(engine),
    )
    return str(commands)


def describe_error(error: Exception, path: Path) -> str:
    """An error for a visitor, without the server's folders; a general message for a bug of ours.

    Args:
        error: the error.
        path: the scan.
    """
    if isinstance(error, CtctError):
        message = str(error).replace(how_to_install("dicom"), "the server lacks the extra 'dicom'")
        return _FOLDERS.sub("", message.replace(str(path), path.name))
    return "This file could not be processed; is it a short-axis cine, as NIfTI or a zip of DICOM?"
