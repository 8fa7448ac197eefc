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
from datetime import datetime
from typing import Any

from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.header import Image, parse_number, read_dataset

#: Attributes that a segmentation copies from its images; empty where an image lacks them.
_COPIED = (
    *("AccessionNumber", "PatientBirthDate", "PatientID", "PatientName", "PatientSex"),
    *("ReferringPhysicianName", "StudyDate", "StudyID", "StudyTime"),
)
#: Groups of the attributes that may tell who the patient is, where and when he was examined, and by
#: whom: identification, patient, clinical trial, request and procedure.
_IDENTIFYING_GROUPS = {0x0008, 0x0010, 0x0012, 0x0032, 0x0038, 0x0040}
#: NumberOfFrames and the functional groups, shared and of each frame.
_MULTI_FRAME_TAGS = {0x00280008, 0x52009229, 0x52009230}
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
    Text is in UTF-8: highdicom refuses some character sets that DICOM allows. With ``de_identify``,
    only identifiers of study, series and images tell where they come from.

    Raises:
        AttributeError: the images lack a required attribute.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid
    from pydicom.valuerep import format_number_as_ds as as_ds

    copies: list[Any] = []
    originals: dict[str, Original] = {}
    for image in images:
        header = headers(image.file)
        is_multi_frame = (parse_number(header.get("NumberOfFrames")) or 1) > 1
        single = Dataset()
        single.update(
            {
                tag: copy(header.get_item(tag))
                for tag in header.keys() - _MULTI_FRAME_TAGS
                if not (de_identify and tag.group in _IDENTIFYING_GROUPS)
            }
        )
        single.SpecificCharacterSet = "ISO_IR 192"
        for name in _COPIED:
            # Decoded with the character set of the header.
            value = None if de_identify else header.get(name)
            is_date_or_text = not name.endswith("Date") or _is_date(value)
            setattr(single, name, value if value is not None and is_date_or_text else "")
        if single.PatientSex not in ("M", "F", "O"):
            single.PatientSex = ""
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
        originals[single.SOPInstanceUID] = Original(
            str(header.SOPClassUID),
            str(header.SOPInstanceUID),
            str(header.SeriesInstanceUID),
            image.frame + 1 if is_multi_frame else 0,
        )
    return copies, originals


def restore_references(segmentation: Any, originals: Mapping[str, Original]) -> None:
    """Replace every reference to a copy by a reference to its original."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    def item(**attributes: Any) -> Any:
        dataset = Dataset()
        for name, value in attributes.items():
            setattr(dataset, name, value)
        return dataset

    def instances(images: Iterable[Original]) -> Any:
        files = dict.fromkeys((image.sop_class, image.instance) for image in images)
        return Sequence(
            [item(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid) for kind, uid in files]
        )

    segmentation.SourceImageSequence = instances(originals.values())
    segmentation.ReferencedSeriesSequence = Sequence(
        [
            item(
                SeriesInstanceUID=uid,
                ReferencedInstanceSequence=instances(
                    image for image in originals.values() if image.series == uid
                ),
            )
            for uid in dict.fromkeys(image.series for image in originals.values())
        ]
    )
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        for reference in frame.DerivationImageSequence[0].SourceImageSequence:
            original = originals.get(reference.ReferencedSOPInstanceUID)
            if original is None:  # masks share this object, and an earlier one has replaced it
                continue
            reference.ReferencedSOPClassUID = original.sop_class
            reference.ReferencedSOPInstanceUID = original.instance
            if original.frame:
                reference.ReferencedFrameNumber = original.frame


def _is_date(value: Any) -> bool:
    """Whether a date exists; anonymized dates may have a month or day of 0."""
    try:
        datetime.strptime(str(value), "%Y%m%d")
    except ValueError:
        return False
    return True
