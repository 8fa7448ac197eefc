"""Segment many scans into a folder of results."""

from __future__ import annotations

import logging
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
from ctct.prediction.case_files import DICOM_SEG, CaseFiles, PredictOptions, output_path
from ctct.prediction.pipeline import Observer, run
from ctct.prediction.results import PatientCollector, encode_results
from ctct.prediction.run_manifest import (
    MANIFEST,
    CaseStatus,
    check_resume,
    is_damaged,
    provenance,
    write_manifest,
)
from ctct.storage import is_empty, lock_folder, prepare_folder, remove_partials, write_atomic

log = logging.getLogger(__name__)


def predict_folder(
    cases: Sequence[Case],
    folder: Path,
    model: ModelFile,
    load_segmenter: Callable[[ModelFile], Segmenter],
    options: PredictOptions | None = None,
    observer: Observer | None = None,
) -> list[CaseStatus]:
    """Write a label map of every case, the measurements of every patient, and the run manifest.

    A case that fails is reported in the manifest, and the others go on. A case whose label map
    exists already is measured from it and not segmented again, unless it cannot be read. Where the
    manifest cannot be read, all cases are segmented again.

    Args:
        cases: the scans. Those of a patient should follow one another, as
            :func:`ctct.io.discover.discover` returns them: their voxels stay in memory until the
            last one is done.
        folder: where results go; created if missing.
        model: the model to use.
        load_segmenter: loads the model; called once, when the first case needs it.
        options: see :class:`PredictOptions`.
        observer: told of the progress.

    Returns:
        The status of each case, in order.

    Raises:
        OutputError: nothing can be written into ``folder``, or another run writes there.
        ConfigError: ``folder`` holds label maps made with another model, from another scan or with
            other options.
    """
    options, observer = options or PredictOptions(), observer or Observer()
    prepare_folder(folder)
    with lock_folder(folder):
        for subfolder in (folder, folder / "quality", folder / DICOM_SEG):
            remove_partials(subfolder)
        observer.run_started(len(cases))
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
    if options.de_identify:
        settings["de_identify"] = True
    inputs = {case.name: case.identity for case in cases}
    written = [(case, output_path(folder, case.name)) for case in cases]
    complete = [case for case, path in written if path.exists() and not is_empty(path)]
    damaged = is_damaged(folder)
    if damaged:
        log.warning("%s: damaged; every scan is segmented again", folder / MANIFEST)
    if options.overwrite or damaged:
        # At once, because a run that is stopped half-way must not leave two kinds of label maps.
        for case in complete:
            output_path(folder, case.name).unlink()
    else:
        scans = {case.name: inputs[case.name] for case in complete}
        inputs = check_resume(folder, settings, scans) | inputs
    started = time.monotonic()
    manifest: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings,
        "inputs": inputs,
        "model_description": model.description,
        "versions": {name: version(name) for name in ("ctct", "numpy", "nibabel")}
        | {"python": platform.python_version()},
    }
    write_manifest(folder, manifest)
    patients = PatientCollector(cases, options)
    files = CaseFiles(folder, options, patients.pictured)
    segmenter, statuses = run(cases, files, lambda: load_segmenter(model), observer, patients.add)
    tables = encode_results(
        patients.results(),
        provenance(manifest),
        compared=bool(options.overrides.compare),
        report=options.report,
    )
    for name, content in tables.items():
        write_atomic(folder / name, content)
    seconds = time.monotonic() - started
    if segmenter:
        runtime = segmenter.runtime
        manifest |= {"runtime": runtime.name, "device": runtime.device, "batch": segmenter.batch}
        manifest["runtime_busy"] = round(segmenter.busy_s / seconds, 3)
    if (peak := peak_memory_mb()) is not None:
        manifest["peak_memory_mb"] = peak
    manifest |= {
        "seconds": round(seconds, 3),
        "cases": [asdict(status) for status in statuses],
    }
    write_manifest(folder, manifest)
    return statuses


def peak_memory_mb() -> int | None:
    """Peak memory of this process so far, in MiB; None where the system does not tell it."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on a Mac
    return int(peak / (2**20 if sys.platform == "darwin" else 2**10))
