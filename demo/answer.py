"""From a scan to everything the page shows, by the same steps as ``ctct predict``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock

from ctct.errors import CtctError
from ctct.inference.files import CaseFiles, Options
from ctct.inference.patients import Given
from ctct.inference.record import Fate, made_by
from ctct.inference.results import write_results
from ctct.inference.segmenter import Segmentation, Segmenter, check_segmentable, cleaned
from ctct.io.discover import Case
from ctct.io.nifti import case_name, encode_study, read_nifti
from ctct.report.patient import PatientResult
from ctct.synthetic import synthetic_cine

#: Voxels as 32-bit numbers that a visitor may have unpacked; keeps the server's memory below 2 GB.
MAX_UNPACKED_BYTES = 2**28

#: Told the stage in words and which share of it is done.
OnStage = Callable[[str, float], object]


@dataclass(frozen=True)
class Labelled:
    """A scan and its labels.

    Attributes:
        case: the file it was read from.
        raw: as the networks say.
        segmentation: the same, cleaned up.
        seconds: time by stage.
    """

    case: Case
    raw: Segmentation
    segmentation: Segmentation
    seconds: dict[str, float]


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


def label_scan(
    path: Path, segmenter: Segmenter, on_stage: OnStage = lambda stage, share: None
) -> Labelled:
    """Read and label one scan.

    Args:
        path: a NIfTI file.
        segmenter: labels it.
        on_stage: told how it goes on.

    Raises:
        InputError: the file cannot be used.
    """
    begun = time.perf_counter()
    on_stage("reading", 0)
    study = read_nifti(path, MAX_UNPACKED_BYTES)
    check_segmentable(study)
    read = time.perf_counter()
    total = study.frames * study.slices

    def slices_done(done: int) -> None:
        rate = done / max(time.perf_counter() - read, 1e-9)
        on_stage(f"segmenting, {rate:.0f} slices/s", done / total)

    on_stage("segmenting", 0)
    raw = segmenter.segment(study, clean_up=False, on_slices=slices_done)
    seconds = {"reading": read - begun, "segmenting": time.perf_counter() - read}
    return Labelled(Case(path, case_name(path)), raw, cleaned(raw), seconds)


def measure_scan(labelled: Labelled, segmenter: Segmenter) -> Answer:
    """Measure and judge a labelled scan, whose file must still be there for the report."""
    begun = time.perf_counter()
    case = labelled.case
    with tempfile.TemporaryDirectory(prefix="ctct-results-") as out:
        folder = Path(out)
        fate = Fate(case.name, case.path.name)
        frames = CaseFiles(folder, Options()).write(case, labelled.raw, fate)
        (result,) = write_results(folder, [(case, frames)], Given(), about=_made_with(segmenter))
        names = (fate.output, "measurements.csv", "frames.csv", "report.html")
        files = {name: (folder / name).read_bytes() for name in names}
    measuring = {"measuring and report": time.perf_counter() - begun}
    return Answer(result, files, labelled.seconds | measuring)


def _made_with(segmenter: Segmenter) -> dict[str, str]:
    model = segmenter.model
    return made_by(
        {
            "settings": {"model": model.path.name, "model_sha256": model.sha256},
            "versions": {"ctct": version("ctct")},
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


_making_sample = Lock()


def sample_file() -> tuple[str, bytes]:
    """Name and content of the scan of ``ctct sample``, made once, whoever asks."""
    with _making_sample:
        return _sample()


@cache
def _sample() -> tuple[str, bytes]:
    study, labels = synthetic_cine()
    return study.name, encode_study(study, labels)[study.name]


def write_sample(folder: Path) -> Path:
    """The sample, written into ``folder``."""
    name, content = sample_file()
    path = folder / f"{name}.nii.gz"
    path.write_bytes(content)
    return path


def in_words(error: Exception, path: Path) -> str:
    """What a visitor is told of an error: no folder of the server, and nothing of its insides."""
    if isinstance(error, CtctError):
        return str(error).replace(str(path), path.name)
    return "This file could not be processed; is it a short-axis cine as NIfTI?"
