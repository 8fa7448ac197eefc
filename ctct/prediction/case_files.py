"""The files of one case: its scan, and its results in a folder."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct import labels as label_orders
from ctct.cases.case import Case
from ctct.cases.fetched import fetch_ahead
from ctct.cases.read import read_case
from ctct.cases.read_apart import DEADLINE_S
from ctct.cases.remote import cache
from ctct.cases.survey import load_case
from ctct.dicom_results.formats import PDF, SC, SR, first_file
from ctct.errors import ConfigError, InputError, OutputError
from ctct.inference.segmentation import Segmentation, check_segmentable, clean_components
from ctct.io.dicom.identifiers import read_identifiers
from ctct.io.label_maps import read_labels
from ctct.io.nifti import read_nifti
from ctct.io.study import Study
from ctct.measurement.papillary import (
    CHOICES,
    LABELS,
    MYOCARDIUM,
    count_papillary,
    papillary_remark,
)
from ctct.measurement.quality_flags import REVIEW, Flag
from ctct.measurement.volumes import frame_volumes
from ctct.prediction.case_record import (
    WRITING,
    CaseRecord,
    LabelMapStamp,
    read_record,
    record_of,
    with_result,
    write_record,
)
from ctct.prediction.case_result import (
    CaseResult,
    analyze_case,
    draw_phases,
    find_motion,
    judge_case,
)
from ctct.prediction.dicom_files import NIFTI, parse_formats, write_dicom_results
from ctct.prediction.patients import (
    HeaderInfo,
    Overrides,
    frame_numbers,
    join_context,
    read_header_info,
)
from ctct.prediction.quality_record import (
    CaseIndicators,
    contours_path,
    disagreement_path,
    indicators_path,
    output_path,
)
from ctct.prediction.run_manifest import (
    DONE,
    FAILED,
    CaseStatus,
    Earlier,
    another_run,
    check_settings,
)
from ctct.prediction.scan_record import ScanRecord
from ctct.prediction.segment_files import SEG_NRRD, segment_path, write_segment_files
from ctct.storage import is_empty, prepare_folder, write_atomic

log = logging.getLogger(__name__)

_NEWER = Flag(
    REVIEW,
    "the scan was written after its label map, by which this was measured; segment it again if it "
    "is another scan",
)


@dataclass(frozen=True)
class PredictOptions:
    """Options of ``ctct predict``.

    Attributes:
        clean_up: keep only what belongs to the heart, without RV above its base, and fill the ring
            of myocardium.
        label_order: numbering of the label maps, a key of ``ctct.labels.ORDERS``.
        pictures: also write a picture of each case: ED and ES with their contours.
        report: also write ``segments.csv`` and ``report.html``.
        overwrite: segment cases again that an earlier run completed.
        overrides: what the user says of the patients: their bodies, their ED and ES.
        keep_identifiers: copy the patient's name and number and the study date from DICOM headers
            into the tables and the report.
        de_identify: leave the patient's data out of DICOM objects.
        formats: "nifti", which is always written, "seg-nrrd", and kinds of DICOM objects, of
            :data:`ctct.dicom_results.formats.FORMATS`.
        deadline_s: seconds that reading a scan may take.
        papillary: what papillary muscles count with, of
            :data:`ctct.measurement.papillary.CHOICES`; the label maps stay as they are.
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
    papillary: str = LABELS

    def __post_init__(self) -> None:
        if self.label_order not in label_orders.ORDERS:
            raise ConfigError(
                f"--label-order {self.label_order}: choose one of {', '.join(label_orders.ORDERS)}"
            )
        if self.keep_identifiers and self.de_identify:
            raise ConfigError("--keep-identifiers and --de-identify exclude each other")
        if self.papillary not in CHOICES:
            raise ConfigError(f"--papillary {self.papillary}: choose one of {', '.join(CHOICES)}")
        if self.papillary != LABELS and self.overrides.compare:
            raise ConfigError(f"--papillary {self.papillary} and --compare exclude each other")
        if not 0 < self.deadline_s < math.inf:
            raise ConfigError(f"--deadline {self.deadline_s:g}: give seconds, more than 0")
        parse_formats(self.formats)

    @property
    def dicom_formats(self) -> tuple[str, ...]:
        """The kinds of DICOM objects among the formats."""
        return parse_formats(self.formats)


def picture_path(folder: Path, case: str) -> Path:
    """Where the picture of the case of that name goes."""
    return folder / f"{case}.png"


def read_case_result(
    folder: Path,
    case: Case,
    label_order: str = "acdc",
    overrides: Overrides | None = None,
    image: bool = True,
    deadline_s: float = DEADLINE_S,
    indicators: CaseIndicators | None = None,
    header: HeaderInfo | None = None,
    papillary: str = LABELS,
) -> CaseResult:
    """The result of a case, measured again from the label map that is in ``folder``.

    Args:
        folder: with results.
        case: the scan.
        label_order: numbering of the label map, a key of ``ctct.labels.ORDERS``.
        overrides: what the user says of the patients.
        image: also read the scan, for pictures.
        deadline_s: seconds that reading the scan may take.
        indicators: those of the run that made the label map; None where they are not known.
        header: what the scan said of the patient; read from the scan where left out.
        papillary: what papillary muscles count with.

    Raises:
        InputError: the label map cannot be used. A scan that cannot be read only costs the picture,
            unless the papillary muscles are found by its brightness.
    """
    written, labels = read_labels(output_path(folder, case.name), label_order)
    study = replace(written, name=case.name)
    if overrides:
        overrides.check_frames(study.frames, str(case.path))
    needs_image = papillary == MYOCARDIUM
    voxels = _scan_voxels(case, deadline_s) if image or needs_image else None
    has_image = voxels is not None and voxels.shape == labels.shape
    if voxels is not None and has_image:
        study = replace(study, voxels=voxels)
    if needs_image and not has_image:
        raise InputError(f"{case.path}: --papillary {papillary} needs the scan of this label map")
    numbers = frame_numbers(case, study.frames)
    context = join_context([case], [header or read_header_info(case)], numbers, overrides)
    counted = count_papillary(labels, study.voxels, papillary)
    measurements = context.measure(frame_volumes(counted, study.voxel_ml, case.name))
    if indicators and len(indicators.frames) != study.frames:
        indicators = None
    motion = find_motion(labels, measurements, study)
    stored = disagreement_path(folder, case.name)
    return CaseResult(
        name=case.name,
        study=study,
        labels=labels,
        disagreement=None,
        measurements=measurements,
        indicators=indicators,
        motion=motion,
        judgement=judge_case(measurements, indicators, motion),
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
        settings: of the run, on which label maps depend.
        versions: of ctct and of the libraries that matter.
        earlier: what the folder held before the run.
        model: which networks make the labels, for DICOM objects.
        updated: names of the cases whose records were brought up to date.
    """

    folder: Path
    options: PredictOptions
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    earlier: Earlier = field(default_factory=Earlier)
    model: str = ""
    updated: set[str] = field(default_factory=set)

    def load(self, case: Case) -> Case:
        """A case with its headers.

        Raises:
            InputError: its files have changed since the index was made.
        """
        return load_case(case, self.options.deadline_s)

    def fetch_ahead(self, cases: Iterable[Case]) -> Iterator[Case]:
        """The cases, those in object storage fetched before their turn where they are needed."""
        return fetch_ahead(cases, cache, lambda case: self.find_listed(case) is None)

    def find_listed(self, case: Case) -> CaseRecord | None:
        """The record of a case from an index where it says that nothing is to be done."""
        if case.row is None or self.options.overwrite or self.earlier.is_damaged:
            return None
        record = read_record(self.folder, case.name)
        if record is None or record.scan is None or record.measured is None:
            return None
        has_dicom = case.row.kind == "dicom"
        lacks_names = self.options.keep_identifiers and has_dicom and not record.identifiers
        is_complete = (
            record.is_measured
            and record.settings == self.settings
            and record.scan.is_as_listed(case)
            and record.measured.is_of(output_path(self.folder, case.name))
            and (record.drawn or not self.options.report)
            and record.given == self._given(case, record.header, len(record.volumes_ml))
            and record.papillary == self.options.papillary
            and not lacks_names
            and not self._lacks_extras(case)
        )
        return record if is_complete else None

    def read(
        self, case: Case, case_status: CaseStatus, listed: CaseRecord | None = None
    ) -> Study | None:
        """The scan; None where an earlier run has completed the case.

        A case with a file that is empty, a label map that cannot be read, or without a picture that
        is asked for, is not complete. But a label map that was corrected by hand is kept, and the
        picture is made from it. DICOM objects that are missing, or hold other values than the
        tables will, are made from the label map.

        Args:
            case: with its headers, unless it is complete as listed.
            case_status: for the run manifest.
            listed: what :meth:`find_listed` found.

        Raises:
            InputError: the scan, or the label map, cannot be used.
            ConfigError: the label map was made otherwise, or from another scan.
        """
        begun = time.perf_counter()
        record = listed or self._find_complete(case)
        if record:
            case_status.output = output_path(self.folder, case.name).name
            case_status.scan = asdict(record.scan) if record.scan else {}
            case_status.flags = record.indicators.image_reasons if record.indicators else []
            return None
        with suppress(OSError, InputError):  # reading the scan says why
            case_status.scan = asdict(ScanRecord.of(case))
        study = read_case(case, deadline_s=self.options.deadline_s)
        check_segmentable(study)
        self.options.overrides.check_frames(study.frames, str(case.path))
        case_status.slices = study.frames * study.slices
        case_status.seconds["read"] = round(time.perf_counter() - begun, 3)
        return study

    def _find_complete(self, case: Case) -> CaseRecord | None:
        """The record of a complete case, brought up to date; None to segment it."""
        path = output_path(self.folder, case.name)
        if not path.exists():
            return None
        record = read_record(self.folder, case.name) or CaseRecord(case.name, "", "", status="")
        if is_empty(path):
            log.warning("%s: empty; the scan is segmented again", path)
            return None
        if self.options.overwrite:
            path.unlink()
            return None
        settings = self.earlier.settings if record.settings is None else record.settings
        if settings is not None or not self.earlier.is_damaged:
            check_settings(self.folder, settings, self.settings)
        if self.earlier.is_damaged and self._is_as_written(case, record):
            path.unlink()
            return None
        now = self._compare_scan(case, record)
        if now is None or not self._has_all_files(case, now):
            return None
        now = self._complete_record(case, now)
        if now and now != record:
            self.updated.add(case.name)
            write_record(self.folder, now)
        return now

    def _is_as_written(self, case: Case, record: CaseRecord) -> bool:
        """Whether nobody has corrected the label map."""
        is_known = bool(record.label_map_sha256)
        return not is_known or record.was_written_to(output_path(self.folder, case.name))

    def _compare_scan(self, case: Case, record: CaseRecord) -> CaseRecord | None:
        """The record with the scan as it is; None where the scan is not the one labelled.

        Raises:
            ConfigError: the label map was made from another scan.
            InputError: the scan was overwritten, and its label map corrected by hand.
        """
        scan, path = record.scan, output_path(self.folder, case.name)
        place = scan.place if scan else self.earlier.inputs.get(case.name)
        try:
            if scan is None:
                if place == case.identity:
                    return self._flag_newer_scan(case, record)
            elif scan.is_untouched(case):
                return record
            elif scan.has_content_of(case):
                return replace(record, scan=ScanRecord.of(case), path=case.where)
        except (OSError, InputError) as error:  # reading the scan will say why
            log.debug("%s: %s", case.path, error)
            return record
        if place != case.identity:
            raise another_run(self.folder, case.name, place, case.identity)
        if not self._is_as_written(case, record):
            raise InputError(
                f"{case.path}: was overwritten after {path.name} was made, which was then "
                "corrected by hand; move that file away to segment the new scan"
            )
        log.warning("%s: overwritten since it was segmented; done again", case.path)
        path.unlink()
        return None

    def _flag_newer_scan(self, case: Case, record: CaseRecord) -> CaseRecord:
        """A flag where the scan is newer than its label map, of which nothing says what it is of.

        Such label maps were made by an early version.
        """
        labelled = output_path(self.folder, case.name).stat().st_mtime
        indicators = record.indicators
        if not indicators or not any(path.stat().st_mtime > labelled for path in case.files):
            return record
        image = tuple(dict.fromkeys((*indicators.image, _NEWER)))
        return replace(record, indicators=replace(indicators, image=image))

    def _has_all_files(self, case: Case, record: CaseRecord) -> bool:
        picture = picture_path(self.folder, case.name)
        asked = [picture] * self.options.pictures
        stored = (indicators_path, disagreement_path, contours_path)
        made = [*asked, *(place(self.folder, case.name) for place in stored)]
        for path in filter(is_empty, made):
            log.warning("%s: empty; the scan is segmented again", path)
            return False
        return all(path.exists() for path in asked) or not self._is_as_written(case, record)

    def _complete_record(self, case: Case, record: CaseRecord) -> CaseRecord | None:
        """The record with all that tables and report need; None where the label map is damaged.

        The label map is only decoded where the record does not tell what is in it, or the
        pictures are missing.

        Raises:
            InputError: the label map is whole, but holds other values than labels.
        """
        path = output_path(self.folder, case.name)
        if record.status == WRITING and record.was_written_to(path):
            record = replace(record, status=DONE, measured=LabelMapStamp.of(path))
        header = read_header_info(case)
        given = self._given(case, header, record.slices and len(record.volumes_ml))
        is_same = bool(record.measured and record.measured.is_of(path))
        is_same = is_same and record.papillary == self.options.papillary
        if not record.is_measured or not is_same or given != record.given:
            record = replace(record, drawn=False)
        has_all = record.drawn or not self.options.report
        if not record.is_measured or not is_same or not has_all or self._lacks_extras(case):
            result = self._read_result(case, record)
            if result is None:
                return None
            self._add_missing(case, result)
            record = self._measured_again(case, record, result)
            given = self._given(case, header, len(record.volumes_ml))
        if self.options.keep_identifiers and case.series and not record.identifiers:
            record = replace(record, identifiers=read_identifiers(case.series))
        return replace(record, header=header, given=given)

    def _given(self, case: Case, header: HeaderInfo, frames: int) -> tuple[int | None, int | None]:
        """ED and ES of a cine as far as they are given."""
        numbers = frame_numbers(case, max(frames, 1))
        context = join_context([case], [header], numbers, self.options.overrides)
        return context.ed, context.es

    def _measured_again(self, case: Case, record: CaseRecord, result: CaseResult) -> CaseRecord:
        stamp = LabelMapStamp.of(output_path(self.folder, case.name))
        status = CaseStatus(case.name, case.where, unreadable=list(case.unreadable))
        now = record_of(case, status, status=DONE, versions=self.versions)
        now = replace(
            now,
            settings=self.settings,
            papillary=self.options.papillary,
            scan=record.scan,
            label_map_sha256=record.label_map_sha256 or stamp.sha256,
            measured=stamp,
            mean_disagreement=record.mean_disagreement,
            identifiers=record.identifiers,
        )
        return self._draw(case, with_result(now, result), result)

    def _lacks_picture(self, case: Case) -> bool:
        return self.options.pictures and not picture_path(self.folder, case.name).exists()

    def _lacks_extras(self, case: Case) -> bool:
        return self._lacks_picture(case) or self._lacks_segments(case) or self._may_lack_dicom(case)

    def _lacks_segments(self, case: Case) -> bool:
        first = segment_path(self.folder, case.name, 0)
        return SEG_NRRD in self.options.formats and not first.exists()

    def _may_lack_dicom(self, case: Case) -> bool:
        """Whether a DICOM object is missing, or may say something else than the tables will."""
        is_dicom = case.series is not None or (case.row is not None and case.row.kind == "dicom")
        formats = self.options.dicom_formats if is_dicom else ()
        # Reports also hold what the user says of the patient, which no record has.
        return bool({SR, PDF} & {*formats}) or not all(
            (self.folder / first_file(name, case.name)).exists() for name in formats
        )

    def _add_missing(self, case: Case, result: CaseResult) -> None:
        """Write picture and segments that are missing, and the DICOM objects that have changed."""
        if self._lacks_picture(case) and result.has_image:
            write_atomic(picture_path(self.folder, case.name), result.draw_contours())
        if self._lacks_segments(case):
            self._write_segments(case, result)
        self._write_dicom(case, result, only_changed=True)

    def _write_segments(self, case: Case, result: CaseResult) -> None:
        order = self.options.label_order
        write_segment_files(self.folder, case.name, result.study, result.labels, order)

    def _read_result(self, case: Case, record: CaseRecord) -> CaseResult | None:
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
                image=self.options.report
                or self._lacks_picture(case)
                or case.is_frame  # compared with the patient's other frames
                or bool({PDF, SC} & {*self.options.dicom_formats}),
                deadline_s=self.options.deadline_s,
                indicators=record.indicators,
                papillary=self.options.papillary,
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

    def write(self, case: Case, raw: Segmentation, case_status: CaseStatus) -> None:
        """Analyze a case and write all of its files, the record last.

        Raises:
            InputError: the scan is DICOM, and DICOM objects cannot be made of it.
            OutputError: a file cannot be written.
        """
        begun = time.perf_counter()
        options = self.options
        segmentation = clean_components(raw) if options.clean_up else raw
        header = read_header_info(case)
        numbers = frame_numbers(case, segmentation.study.frames)
        context = join_context([case], [header], numbers, options.overrides)
        result = analyze_case(
            segmentation, name=case.name, context=context, papillary=options.papillary
        )
        disagreement = result.mean_disagreement
        if disagreement is not None:
            case_status.mean_disagreement = round(disagreement, 4)
        label_map = result.encode_labels(options.label_order)
        if SEG_NRRD in options.formats:
            self._write_segments(case, result)
        self._write_dicom(case, result)
        if options.pictures:
            write_atomic(picture_path(self.folder, case.name), result.draw_contours())
        assert result.indicators
        case_status.flags = result.indicators.image_reasons
        record = record_of(
            case,
            case_status,
            status=WRITING,
            settings=self.settings,
            versions=self.versions,
            header=header,
            given=(context.ed, context.es),
            papillary=options.papillary,
            label_map_sha256=hashlib.sha256(label_map).hexdigest(),
        )
        if options.keep_identifiers and case.series:
            record = replace(record, identifiers=read_identifiers(case.series))
        record = self._draw(case, with_result(record, result), result)
        write_record(self.folder, record)
        target = output_path(self.folder, case.name)
        write_atomic(target, label_map)
        found = target.stat()
        stamp = LabelMapStamp(found.st_size, found.st_mtime_ns, record.label_map_sha256)
        write_record(self.folder, replace(record, status=DONE, measured=stamp))
        case_status.output = target.name
        case_status.seconds["write"] = round(time.perf_counter() - begun, 3)

    def write_failed(self, case: Case, case_status: CaseStatus) -> None:
        """Record why a case failed, unless it has a label map."""
        if output_path(self.folder, case.name).exists():
            return
        with suppress(OutputError):  # the reason is in the run manifest too
            write_record(self.folder, record_of(case, case_status, status=FAILED))

    def _draw(self, case: Case, record: CaseRecord, result: CaseResult) -> CaseRecord:
        """The record with the wall thickness at ED and ES; writes the pictures of the report."""
        if not self.options.report:
            return record
        walls: dict[int, tuple[float, ...]] = {}
        try:
            is_frame = record.patient != record.case and len(result.frames) == 1
            phases = result.measurements.phases or {"frame": 0}
            if len(result.frames) > 1 or is_frame:
                walls = {number: result.wall_mm(number) for number in phases.values()}
            captions = {
                case.name if is_frame else f"{p} {n}": (result, n) for p, n in phases.items()
            }
            pictures = {
                contours_path: draw_phases(captions),
                disagreement_path: result.disagreement_picture,
            }
        except Exception as error:  # one strange scan must not cost the case's other results
            log.warning(
                "%s: no pictures, unexpected %s: %s", case.name, type(error).__name__, error
            )
            log.debug("%s", case.name, exc_info=True)
            return replace(record, drawn=True)
        for place, picture in pictures.items():
            path = place(self.folder, case.name)
            if picture:
                if not path.parent.is_dir():
                    prepare_folder(path.parent)
                write_atomic(path, picture)
        return replace(record, drawn=True, walls_mm=walls)

    def _write_dicom(self, case: Case, result: CaseResult, only_changed: bool = False) -> None:
        options = self.options
        write_dicom_results(
            *(self.folder, case, result, options.dicom_formats),
            de_identify=options.de_identify,
            model=self.model,
            remarks=papillary_remark(options.papillary),
            only_changed=only_changed,
        )
