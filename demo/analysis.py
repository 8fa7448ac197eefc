"""From a scan to everything that the page shows, by the same steps as ``ctct predict``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ctct.cases.case import Case
from ctct.demo.reading import read_upload
from ctct.inference.segmentation import Segmentation, check_segmentable, clean_components
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.measurement.patient import PatientResult
from ctct.measurement.volumes import Measurements, frame_volumes, measure_frames
from ctct.model_files.model_file import ModelFile
from ctct.prediction.case_result import CaseResult, analyze_case
from ctct.prediction.comparison import indices_at_phases
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.prediction.patients import PatientContext, find_context, frame_numbers
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import encode_results
from ctct.prediction.run_manifest import provenance

#: Called with the name of the stage and the share of it that is done.
OnStage = Callable[[str, float], object]


@dataclass(frozen=True)
class UploadedScan:
    """A scan that was read.

    Attributes:
        cases: its file and name; of several files with frames of one patient, each of them.
        study: its voxels, all frames.
        reading_s: time to read it.
    """

    cases: tuple[Case, ...]
    study: Study
    reading_s: float

    @property
    def name(self) -> str:
        """What its results are called."""
        return self.cases[0].name if len(self.cases) == 1 else self.cases[0].patient


@dataclass(frozen=True)
class Labelled:
    """The labels of a scan by one engine.

    Attributes:
        engine: its name.
        model: the model it ran.
        runtime: what ran the model, and where.
        segmentation: the labels, after clean-up.
        seconds: time to label the scan.
    """

    engine: str
    model: ModelFile
    runtime: str
    segmentation: Segmentation
    seconds: float

    def labels_only(self) -> Labelled:
        """The same in a third of the memory: all that a comparison with another engine needs."""
        unknown = np.broadcast_to(np.float16(np.nan), self.segmentation.labels.shape)
        return replace(self, segmentation=replace(self.segmentation, disagreement=unknown))

    @property
    def study(self) -> Study:
        """The scan."""
        return self.segmentation.study

    @property
    def is_pair(self) -> bool:
        """Whether two networks made the labels, which can disagree."""
        return bool(np.isfinite(self.segmentation.disagreement).any())

    @property
    def slices_per_second(self) -> float:
        """Speed."""
        return self.study.frames * self.study.slices / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Analysis:
    """A labelled scan and its measurements.

    Attributes:
        scan: the scan.
        labelled: its labels.
        context: ED and ES where they are known, and the patient's body.
        result: everything computed from them.
        seconds: time to compute it.
    """

    scan: UploadedScan
    labelled: Labelled
    context: PatientContext
    result: CaseResult
    seconds: float


@dataclass(frozen=True)
class Answer:
    """What a visitor gets for a scan, all of it in memory.

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
        path: a NIfTI file, or a zip of DICOM; or a folder with the files of one scan.

    Raises:
        InputError: the file cannot be used.
        RuntimeUnavailableError: it is DICOM, and pydicom is not installed.
    """
    begun = time.perf_counter()
    cases, study = read_upload(path)
    check_segmentable(study)
    return UploadedScan(cases, study, time.perf_counter() - begun)


def label_first_frame(study: Study, segmenter: Segmenter) -> Segmentation:
    """The labels of the first frame, to look at while the others are segmented."""
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
        engine: name of the segmenter.
        on_stage: told of the progress.
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
    return Labelled(engine, segmenter.model, runtime, clean_components(raw), seconds)


def measure_labels(segmentation: Segmentation) -> Measurements:
    """Volumes, ED and ES of labels, without what else is known of the patient."""
    study = segmentation.study
    return measure_frames(frame_volumes(segmentation.labels, study.voxel_ml, study.name))


def analyze_scan(scan: UploadedScan, labelled: Labelled) -> Analysis:
    """Measure and judge a labelled scan."""
    begun = time.perf_counter()
    frames = scan.study.frames // len(scan.cases)
    numbers = [number for case in scan.cases for number in frame_numbers(case, frames)]
    context = find_context(scan.cases, numbers)
    result = analyze_case(labelled.segmentation, name=scan.name, context=context)
    return Analysis(scan, labelled, context, result, time.perf_counter() - begun)


def answer_scan(analysis: Analysis, networks: Mapping[str, Labelled] | None = None) -> Answer:
    """Pictures, tables and report of a scan.

    Args:
        analysis: of the scan.
        networks: the labels of each network alone, for the range of every index.
    """
    begun = time.perf_counter()
    case_result, labelled = analysis.result, analysis.labelled
    patient = add_phases(join_cases([case_result]), [case_result])
    by_model = {
        name: indices_at_phases(
            patient.measurements, frame_volumes(alone.segmentation.labels, alone.study.voxel_ml)
        )
        for name, alone in (networks or {}).items()
    }
    patient = replace(patient, by_model=by_model)
    tables = encode_results([patient], _made_with(labelled.model), compared=bool(networks))
    names = ("measurements.csv", "frames.csv", "report.html", "by_model.csv")
    files = {output_path(Path(), case_result.name).name: case_result.encode_labels()}
    files |= {name: tables[name] for name in names if name in tables}
    seconds = {
        "reading": analysis.scan.reading_s,
        "segmenting": labelled.seconds,
        "measuring and report": analysis.seconds + time.perf_counter() - begun,
    }
    return Answer(patient, files, seconds)


def _made_with(model: ModelFile) -> dict[str, str]:
    return provenance(
        {
            "settings": {"model": model.path.name, "model_sha256": model.sha256},
            "versions": {"ctct": version("ctct")},
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
