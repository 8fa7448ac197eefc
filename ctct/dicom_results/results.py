"""All DICOM objects of one segmented series: their files, their UIDs, and how they are made.

The UID of an object is a hash of what it says. So a file tells by its UID whether it is still what
would be written, and an archive that gets the same result again can tell that it has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ctct.dicom_results.document import encode_document, encode_picture
from ctct.dicom_results.formats import PDF, SC, SR, folder_of
from ctct.dicom_results.measurement_report import ReportWriter, Segments
from ctct.dicom_results.source_images import SourceImages, read_source_images
from ctct.errors import InputError
from ctct.io.dicom.identifiers import read_identifiers
from ctct.io.dicom.instances import creation_time, derive_uid, describe_failure, fingerprint
from ctct.io.dicom.segmentation import (
    SEG,
    SEG_CINE,
    cine_uid,
    encode_cine,
    encode_segmentations,
    segmentation_series,
    segmentation_uids,
)
from ctct.io.dicom.series import Series
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings
from ctct.measurement.patient import PatientResult
from ctct.report.pdf_page import patient_pdf
from ctct.storage import strict_json

log = logging.getLogger(__name__)


class Planned(NamedTuple):
    """Objects that are made at once.

    Attributes:
        uids: file, below the folder of the results, to SOPInstanceUID.
        encode: makes the files, in that order; raises InputError.
    """

    uids: Mapping[str, str]
    encode: Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class DicomResults:
    """The results of a series.

    Attributes:
        name: of the case, the stem of its files.
        series: the images.
        labels: (T, Z, H, W), of all of them.
        patient: the measurements, with the wall thickness.
        with_pictures: gives the same with pictures.
        draw_contours: gives a PNG of the contours.
        formats: that are wanted, of :data:`ctct.dicom_results.formats.FORMATS`.
        de_identify: leave out all that the headers say of patient, study, hospital and staff, but
            for the UIDs.
        model: which networks made the labels.
    """

    name: str
    series: Series
    labels: npt.NDArray[np.uint8]
    patient: PatientResult
    with_pictures: Callable[[], PatientResult]
    draw_contours: Callable[[], bytes]
    formats: tuple[str, ...]
    de_identify: bool = False
    model: str = ""

    def plan(self) -> Iterator[Planned]:
        """What is written, the segmentations before the report that refers to them."""
        makers = {
            SEG: self._plan_segmentations,
            SEG_CINE: self._plan_cine,
            SR: self._plan_report,
            PDF: self._plan_document,
            SC: self._plan_picture,
        }
        for name, make in makers.items():
            if name in self.formats:
                yield make()

    def _plan_segmentations(self) -> Planned:
        uids = segmentation_uids(self.series, self.labels, self.de_identify)
        files = {
            f"{folder_of(SEG)}/{self.name}_{number:02}.dcm": uid
            for number, uid in enumerate(uids, 1)
        }
        return Planned(
            files, lambda: encode_segmentations(self.series, self.labels, self.de_identify)
        )

    def _plan_cine(self) -> Planned:
        uid = cine_uid(self.series, self.labels, self.de_identify)
        return self._one_file(
            SEG_CINE, uid, lambda: encode_cine(self.series, self.labels, self.de_identify)
        )

    def _plan_report(self) -> Planned:
        segments = self._segments()
        uid = self._derive_uid(SR, *(segments.instances.values() if segments else ()))

        def make() -> bytes:
            return ReportWriter(self.patient, self._source, uid, segments, self.model).encode()

        return self._one_file(SR, uid, make)

    def _plan_document(self) -> Planned:
        uid = self._derive_uid(PDF)

        def make() -> bytes:
            names = {} if self.de_identify else read_identifiers(self.series)
            names = {name: value for name, value in names.items() if value}
            pdf = patient_pdf(self.with_pictures(), creation_time(), names, self.model)
            return encode_document(pdf, "ctct report", self._source, uid, bool(names))

        return self._one_file(PDF, uid, make)

    def _plan_picture(self) -> Planned:
        uid = self._derive_uid(SC)

        def make() -> bytes:
            return encode_picture(self.draw_contours(), "ctct contours", self._source, uid)

        return self._one_file(SC, uid, make)

    def _one_file(self, kind: str, uid: str, make: Callable[[], bytes]) -> Planned:
        def encode() -> Iterator[bytes]:
            with _explain(self.series, kind):
                content = make()
            yield content

        return Planned({f"{folder_of(kind)}/{self.name}.dcm": uid}, encode)

    def _derive_uid(self, kind: str, *more: str) -> str:
        """Of an object that says what the measurements are.

        They follow from the labels, ED and ES, the body and what remarks say; volumes themselves
        differ in the last digits where the geometry comes from the header of a label map.
        """
        m, judgement = self.patient.measurements, self.patient.judgement
        measured = [self.patient.name, m.ed, m.es, asdict(m.subject), asdict(judgement)]
        measured += self.patient.remarks.values()
        labels = fingerprint(self.series, self.labels, self.de_identify)
        return derive_uid(kind, labels, strict_json(measured), self.model, *more)

    def _segments(self) -> Segments | None:
        if SEG in self.formats:
            uids = segmentation_uids(self.series, self.labels, self.de_identify)
            series = segmentation_series(self.series, self.labels, self.de_identify)
        elif SEG_CINE in self.formats:
            uid = cine_uid(self.series, self.labels, self.de_identify)
            uids = [uid] * len(self.labels)
            series = derive_uid("series", uid)
        else:
            return None
        return Segments(series, dict(enumerate(uids)))

    @cached_property
    def _source(self) -> SourceImages:
        """The images of ED and ES, or of the only frame."""
        phases = self.patient.measurements.phases
        return read_source_images(self.series, phases.values() or [0], self.de_identify)


@contextmanager
def _explain(series: Series, kind: str) -> Iterator[None]:
    """Raise InputError for what the standard forbids or an image lacks."""
    try:
        with suppress_pydicom_warnings:
            yield
    except InputError:
        raise
    except Exception as error:
        log.debug("%s", series.path, exc_info=True)
        raise InputError(describe_failure(series, f"DICOM-{kind.upper()}", error)) from error
