"""What a visitor, or a program, gets for a scan: part by part, as soon as each is there."""

from __future__ import annotations

import base64
import ctypes
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctct.demo.analysis import (
    Labelled,
    OnStage,
    UploadedScan,
    analyze_scan,
    answer_scan,
    label_first_frame,
    label_scan,
    read_scan,
)
from ctct.demo.engines import Engines
from ctct.demo.panels import (
    answers_html,
    commands_text,
    comparison_html,
    montage_html,
    waiting_html,
)
from ctct.demo.viewer import viewer_iframe

from ctct.api import measure
from ctct.model_files.single_network import NETWORKS

#: What is shown where: names of parts of the page to their HTML.
Parts = dict[str, str]


@dataclass(frozen=True)
class Request:
    """What a visitor chose.

    Attributes:
        engine: name of what labels the scan.
        compare: name of what labels it too; "" for nothing.
        alone: whether each network of the pair labels it alone, too.
    """

    engine: str
    compare: str = ""
    alone: bool = False


def fill(
    path: Path, request: Request, engines: Engines, url: str, on_stage: OnStage
) -> Iterator[Parts]:
    """The parts of the page for a scan: its first frame, then all of it, then the answers.

    Args:
        path: the scan, which must be there until the end.
        request: by whom it is labelled.
        engines: what there is.
        url: of this page, for the commands.
        on_stage: told how it goes on.

    Raises:
        CtctError: the scan cannot be used, or an engine cannot be loaded.
    """
    on_stage("reading", 0)
    scan = read_scan(path)
    if scan.study.frames > 1:
        first = label_first_frame(scan.study, engines.segmenter(request.engine))
        words = f"Phase 0 is there; all {scan.study.frames} follow…"
        yield {"viewer": viewer_iframe(first, measure(first)), "beside": waiting_html(words)}
    labelled = label_scan(scan.study, engines.segmenter(request.engine), request.engine, on_stage)
    networks = _networks(scan, request, engines, on_stage)
    other = _other(scan, request, engines, on_stage)
    layers = {"Ensemble" if labelled.is_pair else "Labels": labelled.segmentation.labels}
    for name, one in {**networks, **({request.compare: other} if other else {})}.items():
        layers[name] = one.segmentation.labels
    analysis = analyze_scan(scan, labelled)
    yield {
        "viewer": viewer_iframe(labelled.segmentation, analysis.result.measurements, layers),
        "beside": waiting_html("Measuring and writing the report…"),
    }
    answer = answer_scan(analysis, networks)
    options = engines.found[request.engine]
    yield {
        "beside": answers_html(answer, labelled),
        "montage": montage_html(answer),
        "comparison": comparison_html(labelled, other) if other else "",
        "commands": commands_text(path.name, options, url, request.engine),
    }


def _networks(
    scan: UploadedScan, request: Request, engines: Engines, on_stage: OnStage
) -> dict[str, Labelled]:
    """Each network of the pair alone, if wished for, by its name."""
    if not request.alone:
        return {}
    return {
        name: label_scan(
            scan.study, engines.segmenter(request.engine, network), name, on_stage
        ).labels_only()
        for network, name in NETWORKS.items()
    }


def _other(
    scan: UploadedScan, request: Request, engines: Engines, on_stage: OnStage
) -> Labelled | None:
    """The engine to compare with, if one is wished for."""
    if not request.compare:
        return None
    segmenter = engines.segmenter(request.compare)
    label_first_frame(scan.study, segmenter)  # as the first one had to, before its time is taken
    return label_scan(scan.study, segmenter, request.compare, on_stage).labels_only()


def give_back_memory() -> None:
    """Freed memory to the system: glibc keeps some for every thread that a scan passed through."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def segment(path: Path, engine: str, engines: Engines) -> dict[str, Any]:
    """The same for a program: verdict, indices and files of a scan.

    Raises:
        CtctError: the scan cannot be used, or an engine cannot be loaded.
    """
    segmenter = engines.segmenter(engine)
    scan = read_scan(path)
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
