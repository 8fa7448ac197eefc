"""Segment many scans into a folder of results."""

from __future__ import annotations

import logging
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.cases.case import Case
from ctct.cases.case_names import check_unique
from ctct.inference.segmenter import Segmenter
from ctct.model_files.model_file import ModelFile
from ctct.prediction.case_files import DICOM_SEG, CaseFiles, PredictOptions
from ctct.prediction.pipeline import Observer, run
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import TABLES, PatientCollector, encode_results
from ctct.prediction.run_manifest import (
    MANIFEST,
    CaseStatus,
    check_files_of_others,
    check_resume,
    earlier_inputs,
    is_damaged,
    provenance,
    write_manifest,
)
from ctct.prediction.scan_record import find_changed, is_corrected, keep_names
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
            :func:`ctct.cases.discover.discover` returns them: their voxels stay in memory until the
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
    check_files_of_others(folder, TABLES)
    labelled = {n: s for n, s in earlier_inputs(folder).items() if _is_labelled(folder, n)}
    cases = check_unique(keep_names(cases, labelled))
    earlier, refused = _clear(cases, folder, settings, options.overwrite)
    started = time.monotonic()
    manifest: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings,
        "inputs": earlier | {case.name: case.identity for case in cases},
        "model_description": model.description,
        "versions": {name: version(name) for name in ("ctct", "numpy", "nibabel")}
        | {"python": platform.python_version()},
    }
    write_manifest(folder, manifest)
    patients = PatientCollector(cases, options)
    files = CaseFiles(folder, options, patients.pictured, refused)
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


def _clear(
    cases: Sequence[Case], folder: Path, settings: Mapping[str, Any], overwrite: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Remove the label maps that are to be made again.

    At once, because a run that is stopped half-way must not leave two kinds of label maps.

    Returns:
        Case to scan, for the cases of earlier runs; and the name of each case that must not be
        segmented again, to the reason.
    """
    complete = [case for case in cases if _is_labelled(folder, case.name)]
    earlier: dict[str, str] = {}
    refused: dict[str, str] = {}
    if overwrite:
        again = complete
    elif is_damaged(folder):
        log.warning("%s: damaged; every scan is segmented again", folder / MANIFEST)
        again = [case for case in complete if not is_corrected(folder, case.name)]
    else:
        earlier = check_resume(folder, settings, bool(complete))
        changed, refused = find_changed(complete, folder, earlier)
        again = [case for case in changed if case.name not in refused]
        for case in again:
            log.warning("%s: overwritten since it was segmented; done again", case.path)
    for case in again:
        output_path(folder, case.name).unlink()
    return earlier, refused


def _is_labelled(folder: Path, case: str) -> bool:
    path = output_path(folder, case)
    return path.exists() and not is_empty(path)


def peak_memory_mb() -> int | None:
    """Peak memory of this process so far, in MiB; None where the system does not tell it."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on a Mac
    return int(peak / (2**20 if sys.platform == "darwin" else 2**10))
