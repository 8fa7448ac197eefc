"""From a scan to everything the page shows, by the same steps as ``ctct predict``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ctct.demo.uploads import check_zip

from ctct.inference.segmentation import Segmentation, check_segmentable, clean_components
from ctct.inference.segmenter import Segmenter
from ctct.io.case import Case
from ctct.io.read import find_case, read_case
from ctct.io.study import Study
from ctct.measurement.patient import PatientResult
from ctct.model_files.model_file import ModelFile
from ctct.predict.case_files import CaseFiles, PredictOptions, output_path
from ctct.predict.patients import Overrides
from ctct.predict.results import write_results
from ctct.predict.run_manifest import CaseStatus, provenance
from ctct.storage import prepare_folder, write_atomic

#: Voxels as 32-bit numbers that a visitor may have unpacked; keeps the server's memory below 2 GB.
MAX_UNPACKED_BYTES = 3 * 2**26

#: Told the stage in words and which share of it is done.
OnStage = Callable[[str, float], object]


@dataclass(frozen=True)
class UploadedScan:
    """A scan that was read.

    Attributes:
        case: where from, and its name.
        study: its voxels.
        reading_s: the time it took.
    """

    case: Case
    study: Study
    reading_s: float


@dataclass(frozen=True)
class Labelled:
    """The labels of a scan by one engine.

    Attributes:
        engine: its name.
        model: what it ran.
        runtime: what ran it, and where.
        raw: as the networks say.
        segmentation: the same, clean_components up.
        seconds: time to label it.
    """

    engine: str
    model: ModelFile
    runtime: str
    raw: Segmentation
    segmentation: Segmentation
    seconds: float

    def labels_only(self) -> Labelled:
        """The same in a third of the memory: all that is needed to compare it with another."""
        unknown = np.broadcast_to(np.float16(np.nan), self.raw.labels.shape)
        kept = replace(self.segmentation, disagreement=unknown)
        return replace(self, raw=kept, segmentation=kept)

    @property
    def is_pair(self) -> bool:
        """Whether two networks said it: then they can disagree."""
        return bool(np.isfinite(self.raw.disagreement).any())

    @property
    def slices_per_second(self) -> float:
        """Speed."""
        study = self.raw.study
        return study.frames * study.slices / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Answer:
    """What was found in a scan; nothing of it is left on the disk.

    Attributes:
        result: measurements, verdict and pictures.
        files: what can be downloaded, by name, each as ``ctct predict`` writes it.
        seconds: time by stage.
    """

    result: PatientResult
    files: dict[str, bytes]
    seconds: dict[str, float]


def read_scan(path: Path) -> UploadedScan:
    """Read a scan.

    Args:
        path: a NIfTI file, or a zip of DICOM.

    Raises:
        InputError: the file cannot be used.
        RuntimeUnavailableError: it is DICOM, and pydicom is not installed.
    """
    begun = time.perf_counter()
    check_zip(path)
    case = find_case(path)
    study = read_case(case, MAX_UNPACKED_BYTES)
    check_segmentable(study)
    return UploadedScan(case, study, time.perf_counter() - begun)


def label_first_frame(study: Study, segmenter: Segmenter) -> Segmentation:
    """The labels of the first frame alone: something to look at while the others are made."""
    return segmenter.segment(replace(study, voxels=study.voxels[:1]))


def label_scan(
    study: Study,
    segmenter: Segmenter,
    engine: str = "",
    on_stage: OnStage = lambda stage, share: None,
) -> Labelled:
    """Label all of a scan.

    Args:
        study: the scan.
        segmenter: labels it.
        engine: its name.
        on_stage: told how it goes on.
    """
    begun = time.perf_counter()
    total = study.frames * study.slices

    def slices_done(done: int) -> None:
        rate = done / max(time.perf_counter() - begun, 1e-9)
        on_stage(f"segmenting ({engine}), {rate:.0f} slices/s", done / total)

    on_stage(f"segmenting ({engine})", 0)
    raw = segmenter.segment(study, clean_up=False, on_slices=slices_done)
    seconds = time.perf_counter() - begun
    runtime = f"{segmenter.runtime.name} on {segmenter.runtime.device}"
    return Labelled(engine, segmenter.model, runtime, raw, clean_components(raw), seconds)


def measure_scan(
    scan: UploadedScan, labelled: Labelled, networks: Mapping[str, Labelled] | None = None
) -> Answer:
    """Measure and judge a labelled scan, whose file must still be there for the report.

    Args:
        scan: that was labelled.
        labelled: its labels.
        networks: those of each network alone, for the range of every index.
    """
    begun = time.perf_counter()
    case, networks = scan.case, networks or {}
    with tempfile.TemporaryDirectory(prefix="ctct-results-") as out:
        folder = Path(out)
        case_status = CaseStatus(case.name, case.path.name)
        frames = CaseFiles(folder, PredictOptions()).write(case, labelled.raw, case_status)
        compare = tuple(folder / name for name in networks)
        for other, alone in zip(compare, networks.values(), strict=True):
            _write_labels(other, case, alone.segmentation)
        about = _made_with(labelled.model)
        (result,) = write_results(folder, [(case, frames)], Overrides(compare=compare), about=about)
        names = [case_status.output, "measurements.csv", "frames.csv", "report.html"]
        names += ["by_model.csv"] if networks else []
        files = {name: (folder / name).read_bytes() for name in names}
    seconds = {
        "reading": scan.reading_s,
        "segmenting": labelled.seconds,
        "measuring and report": time.perf_counter() - begun,
    }
    return Answer(result, files, seconds)


def _write_labels(folder: Path, case: Case, segmentation: Segmentation) -> None:
    source = segmentation.study.label_encoder
    assert source is not None  # it was read from a file
    prepare_folder(folder)
    write_atomic(output_path(folder, case.name), source.encode_labels(segmentation.labels))


def _made_with(model: ModelFile) -> dict[str, str]:
    return provenance(
        {
            "settings": {"model": model.path.name, "model_sha256": model.sha256},
            "versions": {"ctct": version("ctct")},
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
