"""What a visitor, or a program, gets for a scan: each part as soon as it is ready."""

from __future__ import annotations

import base64
import ctypes
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ctct.demo.analysis import (
    Labelled,
    OnStage,
    UploadedScan,
    analyze_scan,
    answer_scan,
    label_first_frame,
    label_scan,
    measure_labels,
    read_scan,
)
from ctct.demo.editing import edit_data
from ctct.demo.engines import Engines
from ctct.demo.panels import (
    answers_html,
    commands_text,
    comparison_html,
    montage_html,
    waiting_html,
)
from ctct.demo.viewer import viewer_iframe
from ctct.model_files.single_network import NETWORKS

#: Name of each part of the page to its HTML.
Parts = dict[str, str]


@dataclass(frozen=True)
class Request:
    """What a visitor chose.

    Attributes:
        engine: name of the engine that labels the scan.
        compare: name of a second engine to compare it with; "" for none.
        alone: whether each network of the pair labels the scan alone, too.
    """

    engine: str
    compare: str = ""
    alone: bool = False


def visit_page(
    file: Path, request: Request, url: str, engines: Engines, on_stage: OnStage
) -> Iterator[Parts]:
    """No part as soon as the scan is read, then the parts of the page; see :func:`fill`.

    Raises:
        CtctError: the scan cannot be used, or an engine cannot be loaded.
    """
    on_stage("reading", 0)
    try:
        scan = read_scan(file)
        yield {}
        yield from fill(scan, request, engines, url, on_stage)
    finally:
        give_back_memory()


def visit_program(
    file: Path, engine: str, engines: Engines, on_stage: OnStage
) -> Iterator[dict[str, Any]]:
    """Nothing as soon as the scan is read, then the answer; see :func:`segment`.

    Raises:
        CtctError: the scan cannot be used, or there is no such engine.
    """
    try:
        engines.segmenter(engine)  # a name that is wrong is told at once
        scan = read_scan(file)
        yield {}
        yield segment(scan, engine, engines)
    finally:
        give_back_memory()


def fill(
    scan: UploadedScan, request: Request, engines: Engines, url: str, on_stage: OnStage
) -> Iterator[Parts]:
    """The parts of the page for a scan: its first frame, then all of it, then the answers.

    Args:
        scan: the scan.
        request: what the visitor chose.
        engines: all engines.
        url: of this page, for the commands.
        on_stage: told of the progress.

    Raises:
        CtctError: an engine cannot be loaded.
    """
    if scan.study.frames > 1:
        first = label_first_frame(scan.study, engines.segmenter(request.engine))
        words = f"Frame 0 is ready; all {scan.study.frames} follow…"
        viewer = viewer_iframe(first, measure_labels(first))
        # Gradio changes elements of one kind in place, and a frame that is still loading may then
        # keep its first content. The viewer of all frames is no child of a div, so it is a new one.
        yield {"viewer": Markup("<div>{}</div>").format(viewer), "beside": waiting_html(words)}
    labelled = label_scan(scan.study, engines.segmenter(request.engine), request.engine, on_stage)
    networks = _label_by_networks(scan, request, engines, on_stage)
    second = _label_by_second(scan, request, engines, on_stage)
    layers = {"Ensemble" if labelled.is_pair else "Labels": labelled}
    layers |= networks | ({request.compare: second} if second else {})
    analysis = analyze_scan(scan, labelled)
    yield {
        "viewer": viewer_iframe(
            labelled.segmentation,
            analysis.result.measurements,
            {name: layer.segmentation.labels for name, layer in layers.items()},
            edit_data(labelled.segmentation, analysis.result, analysis.context),
        ),
        "beside": waiting_html("Measuring and writing the report…"),
    }
    answer = answer_scan(analysis, networks)
    options = engines.options[request.engine]
    yield {
        "beside": answers_html(answer, labelled),
        "montage": montage_html(answer),
        "comparison": comparison_html(labelled, second, analysis.result.measurements)
        if second
        else "",
        "commands": commands_text(
            [case.path.name for case in scan.cases], options, url, request.engine
        ),
    }


def _label_by_networks(
    scan: UploadedScan, request: Request, engines: Engines, on_stage: OnStage
) -> dict[str, Labelled]:
    """Name of each network of the pair to its labels; empty unless requested."""
    if not request.alone:
        return {}
    return {
        name: label_scan(
            scan.study, engines.segmenter(request.engine, network), name, on_stage
        ).labels_only()
        for network, name in NETWORKS.items()
    }


def _label_by_second(
    scan: UploadedScan, request: Request, engines: Engines, on_stage: OnStage
) -> Labelled | None:
    """The labels of the engine to compare with, if one was requested."""
    if not request.compare:
        return None
    segmenter = engines.segmenter(request.compare)
    label_first_frame(scan.study, segmenter)  # untimed, as of the first engine
    return label_scan(scan.study, segmenter, request.compare, on_stage).labels_only()


def give_back_memory() -> None:
    """Return freed memory to the system: glibc keeps some for every thread that held a scan."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def segment(scan: UploadedScan, engine: str, engines: Engines) -> dict[str, Any]:
    """Verdict, indices and files of a scan, for a program.

    Raises:
        CtctError: an engine cannot be loaded.
    """
    segmenter = engines.segmenter(engine)
    labelled = label_scan(scan.study, segmenter, engine)
    answer = answer_scan(analyze_scan(scan, labelled))
    result = answer.result
    m = result.measurements
    return {
        "name": result.name,
        "verdict": result.judgement.verdict,
        "reasons": [flag.reason for flag in result.judgement.flags],
        "ed": m.ed,
        "es": m.es,
        "indices": m.all_indices,
        "seconds": answer.seconds,
        "engine": engine,
        "model": labelled.model.path.name,
        "files": {name: base64.b64encode(file).decode() for name, file in answer.files.items()},
    }
