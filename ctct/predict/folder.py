"""Segmenting many files into a folder: what ``ctct predict`` does."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.inference.segmenter import Segmenter
from ctct.io.case import Case
from ctct.model_files.model_file import ModelFile
from ctct.predict.case_files import DICOM_SEG, CaseFiles, PredictOptions, output_path
from ctct.predict.pipeline import Observer, run
from ctct.predict.results import PatientCollector, encode_results
from ctct.predict.run_manifest import CaseStatus, check_resume, provenance, write_manifest
from ctct.storage import alone_in, prepare_folder, remove_partials, write_atomic


def predict_folder(
    cases: Sequence[Case],
    folder: Path,
    model: ModelFile,
    load_segmenter: Callable[[ModelFile], Segmenter],
    options: PredictOptions | None = None,
    observer: Observer | None = None,
) -> list[CaseStatus]:
    """Write a label map for every case, the measurements of every patient, and a record of the run.

    A case that fails is recorded and the others go on. A case whose label map is there already is
    measured from it and not segmented again; a file under its final name is always whole.

    Args:
        cases: what to segment.
        folder: where results go; made where it is missing.
        model: the model to use.
        load_segmenter: loads it; called once, when the first case needs it.
        options: see :class:`PredictOptions`.
        observer: told how the run goes on.

    Returns:
        The case_status of each case, in order.

    Raises:
        OutputError: nothing can be written into ``folder``, or another run writes there.
        ConfigError: ``folder`` holds label maps made with another model, of another scan or with
            other options.
    """
    options, observer = options or PredictOptions(), observer or Observer()
    prepare_folder(folder)
    with alone_in(folder):
        for place in (folder, folder / "quality", folder / DICOM_SEG):
            remove_partials(place)
        return _predict(cases, folder, model, load_segmenter, options, observer)


def _predict(
    cases: Sequence[Case],
    folder: Path,
    model: ModelFile,
    load_segmenter: Callable[[ModelFile], Segmenter],
    options: PredictOptions,
    observer: Observer,
) -> list[CaseStatus]:
    settings = {
        "model": model.path.name,
        "model_sha256": model.sha256,
        "clean_up": options.clean_up,
        "label_order": options.label_order,
        "heart_crop_sha256": model.heart_crop.sha256 if model.heart_crop else None,
    }
    inputs = {case.name: case.identity for case in cases}
    complete = [case for case in cases if output_path(folder, case.name).exists()]
    if options.overwrite:
        for case in complete:  # now: a run stopped half-way must not leave two kinds of label maps
            output_path(folder, case.name).unlink()
    else:
        known = check_resume(folder, settings, {c.name: inputs[c.name] for c in complete})
        inputs = known | inputs
    started = time.monotonic()
    record: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings,
        "inputs": inputs,
        "model_description": model.description,
        "versions": {name: version(name) for name in ("ctct", "numpy", "nibabel")}
        | {"python": platform.python_version()},
    }
    write_manifest(folder, record)
    patients = PatientCollector(cases, options)
    files = CaseFiles(folder, options, patients.pictured)
    segmenter, case_statuses = run(
        cases, files, lambda: load_segmenter(model), observer, patients.add
    )
    tables = encode_results(
        patients.results(),
        provenance(record),
        compared=bool(options.overrides.compare),
        report=options.report,
    )
    for name, content in tables.items():
        write_atomic(folder / name, content)
    seconds = time.monotonic() - started
    if segmenter:
        runtime = segmenter.runtime
        record |= {"runtime": runtime.name, "device": runtime.device, "batch": segmenter.batch}
        record["runtime_busy"] = round(segmenter.busy_s / seconds, 3)
    if (peak := peak_memory_mb()) is not None:
        record["peak_memory_mb"] = peak
    record |= {
        "seconds": round(seconds, 3),
        "cases": [asdict(case_status) for case_status in case_statuses],
    }
    write_manifest(folder, record)
    return case_statuses


def peak_memory_mb() -> int | None:
    """Most memory this process has held so far, in MiB; None where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on a Mac bytes
    return int(peak / (2**20 if sys.platform == "darwin" else 2**10))
