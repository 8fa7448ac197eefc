"""What is read and written for one case."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct import labels as label_orders
from ctct.errors import ConfigError, InputError, RuntimeUnavailableError
from ctct.inference.segmentation import Segmentation, check_segmentable, clean_components
from ctct.io.case import Case
from ctct.io.dicom import segmentation as dicom_seg
from ctct.io.label_maps import read_labels
from ctct.io.read import read_case
from ctct.io.study import Study
from ctct.measurement.volumes import FrameVolumes, frame_volumes, measure_frames
from ctct.predict.patients import Overrides
from ctct.predict.quality_record import write_indicators
from ctct.predict.run_manifest import CaseStatus
from ctct.report.montage import montage_png
from ctct.storage import prepare_folder, write_atomic

log = logging.getLogger(__name__)

FORMATS = NIFTI, DICOM_SEG = "nifti", "dicom-seg"


@dataclass(frozen=True)
class PredictOptions:
    """How ``ctct predict`` works.

    Attributes:
        clean_up: keep only the largest 3-D component of each structure.
        label_order: numbering of the label maps written, a key of ``ctct.labels.ORDERS``.
        pictures: also write a picture of each case, ED and ES with their contours.
        report: also write ``segments.csv`` and ``report.html``.
        overwrite: label cases again that an earlier run completed.
        given: what is known of the patients: their bodies, their ED and ES.
        keep_identifiers: name, number and study date of DICOM headers go into the tables and the
            report.
        formats: what is written beside the tables, of :data:`FORMATS`; NIfTI always is.
    """

    clean_up: bool = True
    label_order: str = "acdc"
    pictures: bool = False
    report: bool = True
    overwrite: bool = False
    given: Overrides = field(default_factory=Overrides)
    keep_identifiers: bool = False
    formats: tuple[str, ...] = (NIFTI,)

    def __post_init__(self) -> None:
        if self.label_order not in label_orders.ORDERS:
            raise ConfigError(
                f"--label-order {self.label_order}: choose one of {', '.join(label_orders.ORDERS)}"
            )
        if strange := set(self.formats) - set(FORMATS):
            raise ConfigError(f"--format {', '.join(strange)}: choose of {', '.join(FORMATS)}")
        if DICOM_SEG in self.formats and not dicom_seg.is_available():
            raise RuntimeUnavailableError(
                "--format dicom-seg needs highdicom; pip install 'ctct[dicom-seg]'"
            )


def output_path(folder: Path, case: str) -> Path:
    """Where the label map of the case of that name goes."""
    return folder / f"{case}_seg.nii.gz"


def picture_path(folder: Path, case: Case) -> Path:
    """Where the picture of ``case`` goes."""
    return folder / f"{case.name}.png"


def segmentation_path(folder: Path, case: Case, phase: int) -> Path:
    """Where the DICOM segmentation of a phase of ``case``, from 0, goes."""
    return folder / DICOM_SEG / f"{case.name}_{phase + 1:02}.dcm"


@dataclass(frozen=True)
class CaseFiles:
    """Reads the scans of a run and writes their results, in whatever thread it is called.

    Attributes:
        folder: where results go.
        options: of the run.
    """

    folder: Path
    options: PredictOptions

    def read(self, case: Case, case_status: CaseStatus) -> Study | list[FrameVolumes]:
        """The scan; or, where an earlier run has labelled it, the volumes of these labels.

        Raises:
            InputError: the scan, or the label map, cannot be used.
        """
        begun = time.perf_counter()
        target = output_path(self.folder, case.name)
        pictured = not self.options.pictures or picture_path(self.folder, case).exists()
        if target.exists() and pictured and not self._lacks_dicom_seg(case):
            case_status.output = target.name
            written, labels = read_labels(target, self.options.label_order)
            return frame_volumes(labels, written.voxel_ml, case.name)
        study = read_case(case)
        check_segmentable(study)
        case_status.slices = study.frames * study.slices
        case_status.seconds["read"] = round(time.perf_counter() - begun, 3)
        return study

    def _lacks_dicom_seg(self, case: Case) -> bool:
        if DICOM_SEG not in self.options.formats or case.series is None:
            return False
        return not segmentation_path(self.folder, case, 0).exists()

    def _write_dicom_seg(self, case: Case, labels: npt.NDArray[np.uint8]) -> None:
        """A DICOM segmentation of each phase, where the scan is of DICOM."""
        try:
            if case.series is None:
                raise InputError(f"{case.path}: gets no DICOM-SEG, it is NIfTI")
            prepare_folder(self.folder / DICOM_SEG)
            for phase, content in enumerate(dicom_seg.encode_segmentations(case.series, labels)):
                write_atomic(segmentation_path(self.folder, case, phase), content)
        except InputError as error:  # the label map and the measurements are worth having
            log.warning("%s", error)

    def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> list[FrameVolumes]:
        """Write all files of a case, the label map last, and give its volumes.

        Raises:
            OutputError: one cannot be written.
        """
        begun = time.perf_counter()
        segmentation = clean_components(raw) if self.options.clean_up else raw
        study, labels = segmentation.study, segmentation.labels
        foreground = labels > 0
        if foreground.any():
            disagreement = segmentation.disagreement[foreground].mean(dtype=float)
            case_status.mean_disagreement = round(float(disagreement), 4)
        if study.label_encoder is None:
            raise InputError(f"{case.path}: read without its geometry")
        frames = frame_volumes(labels, study.voxel_ml, case.name)
        if self.options.pictures:
            m = measure_frames(frames)
            phases = {"ED": m.ed, "ES": m.es}
            rows = {f"{name}, frame {at}": at for name, at in phases.items() if at is not None}
            picture = montage_png(study, labels, rows or {"frame 0": 0})
            write_atomic(picture_path(self.folder, case), picture)
        if DICOM_SEG in self.options.formats:
            self._write_dicom_seg(case, labels)
        write_indicators(self.folder, case, segmentation, picture=self.options.report)
        numbered = label_orders.remap(labels, target=self.options.label_order)
        target = output_path(self.folder, case.name)
        write_atomic(target, study.label_encoder.encode_labels(numbered))
        case_status.output = target.name
        case_status.seconds["write"] = round(time.perf_counter() - begun, 3)
        return frames
