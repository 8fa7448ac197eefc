"""The files of one case: its scan, and its results in a folder."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct import labels as label_orders
from ctct.cases.case import Case
from ctct.cases.read import read_case
from ctct.cases.read_apart import DEADLINE_S
from ctct.errors import ConfigError, InputError, RuntimeUnavailableError
from ctct.inference.segmentation import Segmentation, check_segmentable, clean_components
from ctct.io.dicom import segmentation as dicom_seg
from ctct.io.label_maps import read_labels
from ctct.io.nifti import read_nifti
from ctct.io.study import Study
from ctct.measurement.quality_flags import REVIEW, Flag
from ctct.measurement.volumes import frame_volumes
from ctct.prediction.case_result import CaseResult, analyze_case, judge_case
from ctct.prediction.patients import Overrides, find_context, frame_numbers
from ctct.prediction.quality_record import (
    disagreement_path,
    indicators_path,
    output_path,
    read_indicators,
    write_indicators,
)
from ctct.prediction.run_manifest import CaseStatus
from ctct.prediction.scan_record import (
    ScanRecord,
    describe,
    is_corrected,
    is_scan_newer,
    read_record,
)
from ctct.storage import is_empty, prepare_folder, write_atomic

log = logging.getLogger(__name__)

FORMATS = NIFTI, DICOM_SEG = "nifti", "dicom-seg"
_NEWER = Flag(
    REVIEW,
    "the scan was written after its label map, by which this was measured; segment it again if it "
    "is another scan",
)


@dataclass(frozen=True)
class PredictOptions:
    """Options of ``ctct predict``.

    Attributes:
        clean_up: keep only what belongs to the heart, and fill the ring of myocardium.
        label_order: numbering of the label maps, a key of ``ctct.labels.ORDERS``.
        pictures: also write a picture of each case: ED and ES with their contours.
        report: also write ``segments.csv`` and ``report.html``.
        overwrite: segment cases again that an earlier run completed.
        overrides: what the user says of the patients: their bodies, their ED and ES.
        keep_identifiers: copy the patient's name and number and the study date from DICOM headers
            into the tables and the report.
        de_identify: leave the patient's data out of DICOM segmentations.
        formats: of the labels, from :data:`FORMATS`; NIfTI is always written.
        deadline_s: seconds that reading a scan may take.
    """

    clean_up: bool = True
    label_order: str = "acdc"
    pictures: bool = False
    report: bool = True
    overwrite: bool = False
    overrides: Overrides = field(default_factory=Overrides)
    keep_identifiers: bool = False
    de_identify: bool = False
    formats: tuple[str, ...] = (NIFTI,)
    deadline_s: float = DEADLINE_S

    def __post_init__(self) -> None:
        if self.label_order not in label_orders.ORDERS:
            raise ConfigError(
                f"--label-order {self.label_order}: choose one of {', '.join(label_orders.ORDERS)}"
            )
        if self.keep_identifiers and self.de_identify:
            raise ConfigError("--keep-identifiers and --de-identify exclude each other")
        if unknown := set(self.formats) - set(FORMATS):
            raise ConfigError(f"--format {', '.join(unknown)}: choose of {', '.join(FORMATS)}")
        if not 0 < self.deadline_s < math.inf:
            raise ConfigError(f"--deadline {self.deadline_s:g}: give seconds, more than 0")
        if DICOM_SEG in self.formats and not dicom_seg.is_available():
            raise RuntimeUnavailableError(
                "--format dicom-seg needs highdicom; pip install 'ctct[dicom-seg]'"
            )


def picture_path(folder: Path, case: str) -> Path:
    """Where the picture of the case of that name goes."""
    return folder / f"{case}.png"


def segmentation_path(folder: Path, case: str, frame: int) -> Path:
    """Where the DICOM segmentation of a frame, from 0, of the case of that name goes."""
    return folder / DICOM_SEG / f"{case}_{frame + 1:02}.dcm"


def read_case_result(
    folder: Path,
    case: Case,
    label_order: str = "acdc",
    overrides: Overrides | None = None,
    image: bool = True,
    deadline_s: float = DEADLINE_S,
) -> CaseResult:
    """The result of a case that an earlier run wrote into ``folder``.

    Args:
        folder: with results.
        case: the scan.
        label_order: numbering of the label map, a key of ``ctct.labels.ORDERS``.
        overrides: what the user says of the patients.
        image: also read the scan, for pictures.
        deadline_s: seconds that reading the scan may take.

    Raises:
        InputError: the label map cannot be used. A scan that cannot be read only costs the picture.
    """
    written, labels = read_labels(output_path(folder, case.name), label_order)
    study = replace(written, name=case.name)
    if overrides:
        overrides.check_frames(study.frames, str(case.path))
    voxels = _scan_voxels(case, deadline_s) if image else None
    has_image = voxels is not None and voxels.shape == labels.shape
    if voxels is not None and has_image:
        study = replace(study, voxels=voxels)
    context = find_context([case], frame_numbers(case, study.frames), overrides)
    measurements = context.measure(frame_volumes(labels, study.voxel_ml, case.name))
    indicators = read_indicators(folder, case.name)
    if indicators and len(indicators.frames) != study.frames:
        indicators = None
    if indicators and is_scan_newer(folder, case):
        indicators = replace(indicators, image=(*indicators.image, _NEWER))
    stored = disagreement_path(folder, case.name)
    return CaseResult(
        name=case.name,
        study=study,
        labels=labels,
        disagreement=None,
        measurements=measurements,
        indicators=indicators,
        judgement=judge_case(measurements, indicators),
        has_image=has_image,
        stored_picture=stored.read_bytes() if image and stored.exists() else b"",
    )


def _scan_voxels(case: Case, deadline_s: float) -> npt.NDArray[np.float32] | None:
    try:
        return read_case(case, deadline_s=deadline_s).voxels
    except InputError as error:
        log.warning("%s: no picture, the scan cannot be read: %s", case.name, error)
        return None


@dataclass(frozen=True)
class CaseFiles:
    """Reads the scans of a run and writes their results, on any thread.

    Attributes:
        folder: where results go.
        options: of the run.
        pictured: names of the cases whose pictures the report shows.
        refused: name of each case that must not be segmented again, to the reason.
    """

    folder: Path
    options: PredictOptions
    pictured: Set[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)

    def read(self, case: Case, case_status: CaseStatus) -> Study | CaseResult:
        """The scan; or, where an earlier run has completed the case, its result.

        A case with a file that is empty, a label map that cannot be read, or without a picture or
        DICOM segmentation that is asked for, is not complete. But a label map that was corrected
        by hand is kept, and the latter are made from it.

        Raises:
            InputError: the scan, or the label map, cannot be used.
        """
        begun = time.perf_counter()
        if reason := self.refused.get(case.name):
            raise InputError(reason)
        if self._is_complete(case) and (result := self._read_result(case)):
            self._add_missing(case, result)
            case_status.output = output_path(self.folder, case.name).name
            record, _ = read_record(self.folder, case.name)
            case_status.scan = asdict(record) if record else {}
            case_status.flags = result.indicators.image_reasons if result.indicators else []
            return result
        with suppress(OSError, InputError):  # reading the scan says why
            case_status.scan = asdict(ScanRecord.of(case))
        study = read_case(case, deadline_s=self.options.deadline_s)
        check_segmentable(study)
        self.options.overrides.check_frames(study.frames, str(case.path))
        case_status.slices = study.frames * study.slices
        case_status.seconds["read"] = round(time.perf_counter() - begun, 3)
        return study

    def _is_complete(self, case: Case) -> bool:
        labels = output_path(self.folder, case.name)
        picture = picture_path(self.folder, case.name)
        dicom = segmentation_path(self.folder, case.name, 0)
        asked = [picture] * self.options.pictures + [dicom] * self._has_dicom_seg(case)
        made = [labels, *asked, indicators_path(self.folder, case.name)]
        made.append(disagreement_path(self.folder, case.name))
        for path in filter(is_empty, made):
            log.warning("%s: empty; the scan is segmented again", path)
            return False
        return labels.exists() and (
            all(path.exists() for path in asked) or is_corrected(self.folder, case.name)
        )

    def _has_dicom_seg(self, case: Case) -> bool:
        return DICOM_SEG in self.options.formats and case.series is not None

    def _lacks_picture(self, case: Case) -> bool:
        return self.options.pictures and not picture_path(self.folder, case.name).exists()

    def _add_missing(self, case: Case, result: CaseResult) -> None:
        """Write the picture and the DICOM segmentations that an earlier result lacks."""
        if self._lacks_picture(case) and result.has_image:
            write_atomic(picture_path(self.folder, case.name), result.draw_contours())
        is_written = segmentation_path(self.folder, case.name, 0).exists()
        if self._has_dicom_seg(case) and not is_written:
            self._write_dicom_seg(case, result.labels)

    def _read_result(self, case: Case) -> CaseResult | None:
        """The result of an earlier run; None if its label map is damaged.

        Raises:
            InputError: the label map is whole, but holds other values than labels.
        """
        try:
            return read_case_result(
                self.folder,
                case,
                self.options.label_order,
                self.options.overrides,
                image=case.name in self.pictured or self._lacks_picture(case),
                deadline_s=self.options.deadline_s,
            )
        except InputError:
            path = output_path(self.folder, case.name)
            try:
                read_nifti(path)
            except InputError as error:
                log.warning("%s: damaged; the scan is segmented again", path)
                log.debug("%s", error)
                return None
            raise

    def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> CaseResult:
        """Analyze a case and write all of its files, the label map last.

        Raises:
            InputError: the scan is DICOM, and its DICOM segmentations cannot be made.
            OutputError: a file cannot be written.
        """
        begun = time.perf_counter()
        options = self.options
        segmentation = clean_components(raw) if options.clean_up else raw
        numbers = frame_numbers(case, segmentation.study.frames)
        context = find_context([case], numbers, options.overrides)
        result = analyze_case(segmentation, name=case.name, context=context)
        disagreement = result.mean_disagreement
        if disagreement is not None:
            case_status.mean_disagreement = round(disagreement, 4)
        label_map = result.encode_labels(options.label_order)
        if DICOM_SEG in options.formats:
            self._write_dicom_seg(case, result.labels)
        if options.pictures:
            write_atomic(picture_path(self.folder, case.name), result.draw_contours())
        assert result.indicators
        case_status.flags = result.indicators.image_reasons
        picture = result.disagreement_picture if options.report else b""
        record = describe(case_status.scan, label_map)
        write_indicators(self.folder, case.name, result.indicators, picture, record)
        target = output_path(self.folder, case.name)
        write_atomic(target, label_map)
        case_status.output = target.name
        case_status.seconds["write"] = round(time.perf_counter() - begun, 3)
        return result

    def _write_dicom_seg(self, case: Case, labels: npt.NDArray[np.uint8]) -> None:
        """Write a DICOM segmentation of each frame, where the scan is DICOM.

        Raises:
            InputError: they cannot be made; then none is written.
        """
        if case.series is None:
            log.warning("%s: gets no DICOM-SEG, it is not DICOM", case.path)
            return
        contents = list(
            dicom_seg.encode_segmentations(case.series, labels, self.options.de_identify)
        )
        prepare_folder(self.folder / DICOM_SEG)
        for frame in reversed(range(len(contents))):  # the first one tells that all are there
            write_atomic(segmentation_path(self.folder, case.name, frame), contents[frame])
