"""Copies of images for highdicom, and the references of a segmentation to the original images.

highdicom makes a segmentation of one series with a file per image, or of all frames of an enhanced
file. A phase of a cine may be some frames of an enhanced file, or come from several series. So
highdicom gets a single-frame copy of each image, and afterwards the references to the copies are
replaced by references to the originals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.header import Image, parse_number, read_dataset
from ctct.io.dicom.instances import study_attributes

#: What highdicom reads of an image but for its place, and what it tells of the scanner.
_COPIED = (
    *("Rows", "Columns", "FrameOfReferenceUID", "PositionReferenceIndicator", "SliceThickness"),
    *("SeriesInstanceUID", "SeriesNumber", "LossyImageCompression", "LossyImageCompressionRatio"),
    *("LossyImageCompressionMethod", "Modality"),
)
_SCANNER = (
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
)
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"


class HeaderCache:
    """Reads headers and keeps the last one, because an enhanced file holds many images."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._file: DicomFile | None = None
        self._header: Any = None

    def __call__(self, file: DicomFile) -> Any:
        """The header of a file."""
        if file != self._file:
            self._header = read_dataset(self._opener, file, stop_before_pixels=True)
            self._file = file
        return self._header


@dataclass(frozen=True)
class Original:
    """The image that a copy was made from.

    Attributes:
        sop_class: SOPClassUID of its file.
        instance: SOPInstanceUID of its file.
        series: SeriesInstanceUID.
        frame: number of the frame from 1; 0 in a file of one frame, whose references name no frame
            (PS3.3, 10.3). Some converters add functional groups to such files.
    """

    sop_class: str
    instance: str
    series: str
    frame: int


def copy_single_images(
    headers: HeaderCache, images: list[Image], slice_spacing_mm: float, de_identify: bool = False
) -> tuple[list[Any], dict[str, Original]]:
    """Single-frame copies of images as one series, and the originals by SOPInstanceUID of the copy.

    All copies have the orientation and frame of reference of the first image. Headers may round
    the orientation differently, and some anonymizers give each image another frame of reference.
    All have patient and study of the first one, with text in UTF-8: highdicom refuses some
    character sets that DICOM allows. With ``de_identify``, only the UIDs of study, series and
    images tell where they come from.

    Raises:
        AttributeError: the images lack a required attribute.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid
    from pydicom.valuerep import format_number_as_ds as as_ds

    copies: list[Any] = []
    originals: dict[str, Original] = {}
    study: Any = None
    for image in images:
        header = headers(image.file)
        single = Dataset()
        for name in _COPIED + (() if de_identify else _SCANNER):
            if name in header:
                single[name] = copy(header[name])
        study = study or study_attributes(header, de_identify)
        single.update(study)
        first = copies[0] if copies else single
        if not first.get("FrameOfReferenceUID"):
            raise AttributeError("the images lack FrameOfReferenceUID")
        single.FrameOfReferenceUID = first.FrameOfReferenceUID
        single.SeriesInstanceUID = first.SeriesInstanceUID
        single.SOPClassUID, single.SOPInstanceUID = _MR_IMAGE, generate_uid()
        single.ImagePositionPatient = [as_ds(v) for v in image.position or ()]
        single.ImageOrientationPatient = [as_ds(v) for v in images[0].orientation or ()]
        single.PixelSpacing = [as_ds(mm) for mm in image.spacing_mm or ()]
        single.SliceThickness = single.get("SliceThickness") or f"{slice_spacing_mm:.6g}"
        single.SpacingBetweenSlices = f"{slice_spacing_mm:.6g}"
        copies.append(single)
        originals[single.SOPInstanceUID] = original_of(image, header)
    return copies, originals


def original_of(image: Image, header: Any) -> Original:
    """What refers to an image."""
    is_multi_frame = (parse_number(header.get("NumberOfFrames")) or 1) > 1
    return Original(
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
        str(header.SeriesInstanceUID),
        image.frame + 1 if is_multi_frame else 0,
    )


def restore_references(segmentation: Any, originals: Mapping[str, Original]) -> None:
    """Replace every reference to a copy by a reference to its original."""
    list_sources(segmentation, originals.values())
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        for reference in frame.DerivationImageSequence[0].SourceImageSequence:
            original = originals.get(reference.ReferencedSOPInstanceUID)
            if original is None:  # masks share this object, and an earlier one has replaced it
                continue
            reference.ReferencedSOPClassUID = original.sop_class
            reference.ReferencedSOPInstanceUID = original.instance
            if original.frame:
                reference.ReferencedFrameNumber = original.frame


def list_sources(segmentation: Any, originals: Iterable[Original]) -> None:
    """State the images that a segmentation was made from, at all and by series."""
    originals = list(originals)
    segmentation.SourceImageSequence = _instances(originals)
    segmentation.ReferencedSeriesSequence = [
        make_item(
            SeriesInstanceUID=uid,
            ReferencedInstanceSequence=_instances(
                image for image in originals if image.series == uid
            ),
        )
        for uid in dict.fromkeys(image.series for image in originals)
    ]


def _instances(images: Iterable[Original]) -> list[Any]:
    files = dict.fromkeys((image.sop_class, image.instance) for image in images)
    return [
        make_item(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid) for kind, uid in files
    ]


def make_item(**attributes: Any) -> Any:
    """An item of a sequence."""
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset
