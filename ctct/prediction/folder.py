"""Segment many scans into a folder of results."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.cases.case import Case
from ctct.cases.case_names import check_unique
from ctct.cases.index import Shard
from ctct.errors import ConfigError, StoppedError
from ctct.inference.segmenter import Segmenter
from ctct.io.color_tables import COLOR_FILES, encode_color_files
from ctct.model_files.model_file import ModelFile
from ctct.prediction.case_files import CaseFiles, PredictOptions
from ctct.prediction.cluster import Cluster
from ctct.prediction.dicom_files import FOLDERS, check_any_dicom
from ctct.prediction.pipeline import Limits, Observer, run
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import TABLES, Entry, Summary, TableOptions, write_results
from ctct.prediction.run_manifest import (
    MANIFEST,
    SKIPPED,
    CaseStatus,
    Earlier,
    check_files_of_others,
    check_settings,
    name_model,
    provenance,
    read_earlier,
    read_manifests,
    write_manifest,
)
from ctct.prediction.scan_record import keep_names
from ctct.prediction.segment_files import SEG_NRRD
from ctct.storage import (
    is_empty,
    lock_folder,
    lock_share,
    prepare_folder,
    remove_partials,
    write_atomic,
)

log = logging.getLogger(__name__)

#: Where a run writes files.
_SUBFOLDERS = ("quality", "quality/contours", SEG_NRRD, *FOLDERS)
#: No shard writes a file for longer.
_MAX_WRITING_S = 3600.0


@dataclass(frozen=True)
class Part:
    """The part of a cohort that a run does.

    Attributes:
        index: digest of the index that the scans come from.
        shard: which share of it; None for all.
        scans: how many scans that are.
    """

    index: str
    shard: Shard | None
    scans: int

    @property
    def manifest(self) -> str:
        """Name of the run manifest."""
        shard = self.shard
        return f"run-{shard.number}-of-{shard.count}.json" if shard else MANIFEST


def predict_folder(
    cases: Iterable[Case],
    folder: Path,
    model: ModelFile,
    load_segmenter: Callable[[ModelFile], Segmenter],
    options: PredictOptions | None = None,
    observer: Observer | None = None,
    limits: Limits | None = None,
    part: Part | None = None,
    cluster: Cluster | None = None,
) -> list[CaseStatus]:
    """Write a label map of every case, the measurements of every patient, and the run manifest.

    A case that fails is reported in the manifest, and the others go on. A case whose label map
    exists already is not segmented again, unless it cannot be read. Where the manifest cannot be
    read, all cases are segmented again. Tables and report are made from the records of the cases;
    a shard leaves that to ``ctct report``.

    Args:
        cases: the scans: a sequence, or an iterator over those of a large cohort, which is read
            while the first ones are segmented.
        folder: where results go; created if missing.
        model: the model to use.
        load_segmenter: loads the model; called once, when the first case needs it.
        options: see :class:`PredictOptions`.
        observer: told of the progress.
        limits: when a case, or the run, is given up.
        part: the part of an index that the scans are; None for scans that were looked for.
        cluster: whose workers load the model and do the cases; None: this process does.

    Returns:
        The status of each case, in order.

    Raises:
        OutputError: nothing can be written into ``folder``, or another run writes there.
        ConfigError: ``folder`` holds label maps made with another model, from another scan or with
            other options; another shard there was begun by another version of ctct; or DICOM
            objects are asked for, and no scan is DICOM.
        StoppedError: the run was told to stop.
    """
    options, observer = options or PredictOptions(), observer or Observer()
    if isinstance(cases, Sequence):
        check_any_dicom(cases, options.dicom_formats)
    prepare_folder(folder)
    shard = part.shard if part else None
    group = f"{part.index[:16]}-{shard.count}" if part and shard else ""
    with lock_share(folder, group, str(shard.number)) if shard else lock_folder(folder):
        for subfolder in (folder, *(folder / name for name in _SUBFOLDERS)):
            remove_partials(subfolder, _MAX_WRITING_S if shard else 0)
        total = part.scans if part else len(cases) if isinstance(cases, Sequence) else None
        observer.run_started(total)
        run_limits = limits or Limits()
        return _Run(folder, model, options, observer, run_limits, part, cluster, total).predict(
            cases, lambda: load_segmenter(model)
        )


@dataclass(frozen=True)
class _Run:
    """A run in a folder that is locked."""

    folder: Path
    model: ModelFile
    options: PredictOptions
    observer: Observer
    limits: Limits
    part: Part | None
    cluster: Cluster | None
    total: int | None

    @property
    def manifest_name(self) -> str:
        return self.part.manifest if self.part else MANIFEST

    def predict(
        self, cases: Iterable[Case], load_segmenter: Callable[[], Segmenter]
    ) -> list[CaseStatus]:
        started, folder, options = time.monotonic(), self.folder, self.options
        settings = make_settings(self.model, options)
        check_files_of_others(folder, (*TABLES, *COLOR_FILES))
        earlier = self._read_earlier()
        cases = self._check(cases, settings, earlier)
        if earlier.settings != settings:
            earlier = replace(earlier, inputs={})
        tables = TableOptions(
            *(options.overrides, options.label_order, options.report, options.keep_identifiers),
            papillary=options.papillary,
        )
        manifest: dict[str, Any] = {
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "settings": settings,
            "tables": tables.to_json(),
            "inputs": dict(earlier.inputs),
            "model_description": self.model.description,
            "versions": current_versions(),
        }
        if self.part:
            manifest["index"] = {"digest": self.part.index, "shard": str(self.part.shard or "")}
        if isinstance(cases, Sequence):
            manifest["inputs"] |= {case.name: case.identity for case in cases}
        write_manifest(folder, manifest, self.manifest_name)
        for name, content in encode_color_files(options.label_order).items():
            write_atomic(folder / name, content)
        files = CaseFiles(
            folder, options, settings, manifest["versions"], earlier, name_model(manifest)
        )
        taken = _Taken(folder, cases, self.observer, self.part is None)
        segmenter = None
        if self.cluster:
            manifest["workers"], statuses = self.cluster.run(
                taken, files, self.observer, self.limits, self.total
            )
        else:
            segmenter, statuses = run(taken, files, load_segmenter, self.observer, self.limits)
        manifest["inputs"] |= taken.inputs
        is_stopped = self.limits.stop.is_set()
        if not is_stopped and not (self.part and self.part.shard):
            names = [(entry.case, entry.patient) for entry in taken.entries]
            digest = _digest(manifest["tables"], manifest["versions"], names)
            changed = files.updated or any(status.status != SKIPPED for status in statuses)
            is_new = changed or tables.overrides.compare or not self._has_tables(earlier, digest)
            if is_new:
                about = provenance(manifest)
                summary = write_results(folder, taken.entries, about, tables)
            else:
                summary = Summary(**earlier.written["summary"])
            manifest["written"] = {"digest": digest, "summary": asdict(summary)}
            self.observer.patients_measured(summary)
        seconds = time.monotonic() - started
        if segmenter:
            runtime = segmenter.runtime
            manifest |= {"runtime": runtime.name, "device": runtime.device}
            manifest["batch"] = segmenter.batch
            manifest["runtime_busy"] = round(segmenter.busy_s / seconds, 3)
        if (peak := peak_memory_mb()) is not None:
            manifest["peak_memory_mb"] = peak
        manifest |= {
            "seconds": round(seconds, 3),
            "cases": [vars(status) for status in statuses],
        }
        write_manifest(folder, manifest, self.manifest_name)
        if is_stopped:
            raise StoppedError(
                f"stopped after {len(statuses)} cases; run the same command again to continue"
            )
        return statuses

    def _has_tables(self, earlier: Earlier, digest: str) -> bool:
        """Whether the tables that are there are of the same cases, none of which has changed."""
        names = ["measurements.csv", "measurements.json", "frames.csv"]
        names += ["segments.csv", "report.html"] if self.options.report else []
        names += ["follow_up.csv"] if self.options.overrides.follow_ups else []
        return earlier.written.get("digest") == digest and all(
            (self.folder / name).exists() for name in names
        )

    def _read_earlier(self) -> Earlier:
        """What the folder held before, of this run or of other shards.

        Raises:
            ConfigError: another shard was begun by another version of ctct.
        """
        earlier = read_earlier(self.folder, self.manifest_name)
        if earlier.is_damaged:
            log.warning("%s: damaged; every scan is segmented again", self.folder / MANIFEST)
        is_shard = self.part is not None and self.part.shard is not None
        for manifest in read_manifests(self.folder):
            before, now = manifest.get("versions", {}).get("ctct"), version("ctct")
            if is_shard and before != now and not self.options.overwrite:
                raise ConfigError(
                    f"{self.folder}: holds results of ctct {before}, this is {now}; use one "
                    "version for all shards, --overwrite or another output folder"
                )
            earlier = replace(earlier, settings=dict(manifest["settings"]))
            earlier = replace(earlier, inputs={**manifest["inputs"], **earlier.inputs})
        return earlier

    def _keep_names(self, cases: Iterable[Case], earlier: Earlier) -> Iterator[Case]:
        """The cases, one after the other; see :func:`keep_names`."""
        names = {place: name for name, place in earlier.inputs.items()}
        for case in cases:
            name = names.get(case.identity, case.name)
            if name != case.name and _is_labelled(self.folder, name):
                (case,) = keep_names([case], {name: case.identity})
            yield case

    def _check(
        self, cases: Iterable[Case], settings: Mapping[str, Any], earlier: Earlier
    ) -> Iterable[Case]:
        """Check the label maps of earlier runs, or remove them if they are to be overwritten.

        At once, because a run that is stopped half-way must not leave two kinds of label maps; of a
        large cohort one by one, where all of the folder must be of one kind.

        Returns:
            The cases; those that have label maps under other names with these.

        Raises:
            ConfigError: a label map was made otherwise.
        """
        folder, is_known = self.folder, not earlier.is_damaged
        if not isinstance(cases, Sequence):
            is_labelled = next(folder.glob("*_seg.nii.gz"), None) is not None
            if is_labelled and is_known:
                if self.options.overwrite and earlier.settings != settings:
                    raise ConfigError(
                        f"{folder}: holds label maps that were made otherwise; choose another "
                        "output folder"
                    )
                check_settings(folder, earlier.settings, settings)
            return self._keep_names(cases, earlier)
        labelled = {n: place for n, place in earlier.inputs.items() if _is_labelled(folder, n)}
        cases = check_unique(keep_names(cases, labelled))
        complete = [case for case in cases if _is_labelled(folder, case.name)]
        if self.options.overwrite:
            for case in complete:
                output_path(folder, case.name).unlink()
        elif complete and is_known:
            check_settings(folder, earlier.settings, settings)
        return cases


def _digest(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _Taken:
    """Passes cases on, and keeps of each what tables and manifest need, without its headers."""

    def __init__(
        self, folder: Path, cases: Iterable[Case], observer: Observer, keeps_inputs: bool
    ) -> None:
        self._folder, self._cases, self._keeps_inputs = folder, cases, keeps_inputs
        self._observer = observer
        self.entries: list[Entry] = []
        self.inputs: dict[str, str] = {}

    def __iter__(self) -> Iterator[Case]:
        for case in self._cases:
            order = Path(case.identity).parts, case.name
            self.entries.append(Entry(self._folder, case.name, case.patient, order))
            if self._keeps_inputs:
                self.inputs[case.name] = case.identity
            yield case
        self._observer.run_started(len(self.entries))


def make_settings(model: ModelFile, options: PredictOptions) -> dict[str, Any]:
    """All on which the label maps of a run depend."""
    settings = {
        "model": model.path.name,
        "model_sha256": model.sha256,
        "clean_up": options.clean_up,
        "label_order": options.label_order,
        "heart_crop_sha256": model.heart_crop.sha256 if model.heart_crop else None,
    }
    return settings | ({"de_identify": True} if options.de_identify else {})


def current_versions() -> dict[str, str]:
    """Versions of ctct, of Python and of the libraries that matter."""
    versions = {name: version(name) for name in ("ctct", "numpy", "nibabel")}
    return versions | {"python": platform.python_version()}


def _is_labelled(folder: Path, case: str) -> bool:
    path = output_path(folder, case)
    return path.exists() and not is_empty(path)


def peak_memory_mb() -> int | None:
    """Peak memory of this process so far, in MiB; None where the system does not tell it.

    Linux keeps the peak of ``getrusage`` when a process starts another program, so that of a large
    parent would count; ``VmHWM`` does not.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) // 2**10
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on a Mac
    return int(peak / (2**20 if sys.platform == "darwin" else 2**10))
