"""Images of any kind of DICOM as highdicom takes them, and references to what they stand for.

highdicom makes segmentations of one series with a file an image, or of all frames of an enhanced
file. Ours are of a phase of a cine, whose images may be some frames of such a file, or of several
series. So each image is given to it as a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.header import Image, read_dataset

#: Attributes that a segmentation repeats of its source; empty where the source lacks them.
_REPEATED = (
    *("AccessionNumber", "PatientBirthDate", "PatientID", "PatientName", "PatientSex"),
    *("ReferringPhysicianName", "StudyDate", "StudyID", "StudyTime"),
)
#: NumberOfFrames and the functional groups, shared and of each frame.
_OF_FRAMES = {0x00280008, 0x52009229, 0x52009230}
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"


class Headers:
    """Headers of files, the last one kept: an enhanced file holds many images."""

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
class Origin:
    """What a source stands for; ``frame`` is counted from 1, 0 for a file of one image."""

    sop_class: str
    instance: str
    series: str
    frame: int


def single_images(
    headers: Headers, images: list[Image], slice_spacing_mm: float
) -> tuple[list[Any], dict[str, Origin]]:
    """Each image as highdicom takes it, a file an image of one series, and what it stands for.

    All have the first one's orientation and frame of reference: headers round the one differently,
    and some anonymisers give each image a frame of its own.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid
    from pydicom.valuerep import format_number_as_ds as as_ds

    sources: list[Any] = []
    origins: dict[str, Origin] = {}
    for image in images:
        header = headers(image.file)
        enhanced = "PerFrameFunctionalGroupsSequence" in header
        source = Dataset()
        source.update({tag: copy(header.get_item(tag)) for tag in header.keys() - _OF_FRAMES})
        for name in _REPEATED:
            if name not in source or (name.endswith("Date") and not _is_date(source.get(name))):
                setattr(source, name, "")
        first = sources[0] if sources else source
        source.FrameOfReferenceUID = first.FrameOfReferenceUID
        source.SeriesInstanceUID = first.SeriesInstanceUID
        source.SOPClassUID, source.SOPInstanceUID = _MR_IMAGE, generate_uid()
        source.ImagePositionPatient = [as_ds(v) for v in image.position or ()]
        source.ImageOrientationPatient = [as_ds(v) for v in images[0].orientation or ()]
        source.PixelSpacing = [as_ds(mm) for mm in image.spacing_mm or ()]
        source.SliceThickness = source.get("SliceThickness") or f"{slice_spacing_mm:.6g}"
        source.SpacingBetweenSlices = f"{slice_spacing_mm:.6g}"
        sources.append(source)
        origins[source.SOPInstanceUID] = Origin(
            str(header.SOPClassUID),
            str(header.SOPInstanceUID),
            str(header.SeriesInstanceUID),
            image.frame + 1 if enhanced else 0,
        )
    return sources, origins


def refer(segmentation: Any, origins: Mapping[str, Origin]) -> None:
    """Let every reference to a source be one to what it stands for."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    def item(**attributes: Any) -> Any:
        one = Dataset()
        for name, value in attributes.items():
            setattr(one, name, value)
        return one

    def instances(of: Iterable[Origin]) -> Any:
        once = dict.fromkeys((one.sop_class, one.instance) for one in of)
        return Sequence(
            [item(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid) for kind, uid in once]
        )

    segmentation.SourceImageSequence = instances(origins.values())
    segmentation.ReferencedSeriesSequence = Sequence(
        [
            item(
                SeriesInstanceUID=uid,
                ReferencedInstanceSequence=instances(
                    one for one in origins.values() if one.series == uid
                ),
            )
            for uid in dict.fromkeys(one.series for one in origins.values())
        ]
    )
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        for reference in frame.DerivationImageSequence[0].SourceImageSequence:
            origin = origins.get(reference.ReferencedSOPInstanceUID)
            if origin is None:  # the same object as in the mask of another structure
                continue
            reference.ReferencedSOPClassUID = origin.sop_class
            reference.ReferencedSOPInstanceUID = origin.instance
            if origin.frame:
                reference.ReferencedFrameNumber = origin.frame


def _is_date(value: Any) -> bool:
    """Whether a date exists: anonymised ones may have a month or day 0."""
    try:
        datetime.strptime(str(value), "%Y%m%d")
    except ValueError:
        return False
    return True
