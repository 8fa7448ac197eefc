"""Labels of a DICOM series as DICOM Segmentation objects (PS3.3, A.51), through highdicom."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.dicom_files import Opener
from ctct.io.dicom_header import Image, read_dataset
from ctct.io.dicom_series import Series
from ctct.io.dicom_stack import arrange
from ctct.labels import LV, MYO, RV, VALUE

#: SNOMED CT code and meaning of what each structure is (PS3.16, CID 7151).
_CODES = {
    RV: ("53085002", "Right ventricle"),
    MYO: ("49848007", "Left Ventricle Myocardium"),
    LV: ("87878005", "Left ventricle"),
}
_CATEGORY = ("123037004", "Anatomical Structure")
#: Attributes that a segmentation repeats of its source; empty where the source lacks them.
_REPEATED = (
    *("AccessionNumber", "PatientBirthDate", "PatientID", "PatientName", "PatientSex"),
    *("ReferringPhysicianName", "StudyDate", "StudyID", "StudyTime"),
)


def is_available() -> bool:
    """Whether highdicom is installed."""
    return find_spec("highdicom") is not None


def can_encode(series: Series) -> bool:
    """Whether segmentations can be made: of one series, a file an image."""
    files = {image.file for image in series.images}
    return len(series.uids) == 1 and len(files) == len(series.images)


def encode_segmentations(series: Series, labels: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    """A segmentation of each phase in turn, referring to the images it was made of.

    Args:
        series: what was segmented.
        labels: (T, Z, H, W), in the order of :func:`ctct.io.dicom_stack.arrange`.

    Raises:
        InputError: the source cannot be read again, lacks an attribute, or is made of several
            series or of enhanced files.
    """
    import highdicom
    from pydicom.uid import generate_uid

    if not can_encode(series):
        raise InputError(
            f"{series.path}: gets no DICOM-SEG, which is made of one series with a file an image"
        )
    uid, stack = str(generate_uid()), arrange(series)
    with Opener() as opener:
        for number, (images, own) in enumerate(zip(stack.images, labels, strict=True), 1):
            try:
                sources = [_source(opener, image, stack.slice_spacing_mm) for image in images]
                _agree(sources)
                yield _encode(highdicom, sources, own, uid, number)
            except (AttributeError, KeyError, ValueError, TypeError) as error:
                raise InputError(f"{series.path}: gets no DICOM-SEG ({error})") from error


def _encode(
    highdicom: Any,
    sources: list[Any],
    labels: npt.NDArray[np.uint8],
    series_uid: str,
    number: int,
) -> bytes:
    made_by = highdicom.AlgorithmIdentificationSequence(
        name="ctct",
        version=version("ctct"),
        family=_code(highdicom, ("123110", "Artificial Intelligence"), "DCM"),
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=n,
            segment_label=structure,
            segmented_property_category=_code(highdicom, _CATEGORY),
            segmented_property_type=_code(highdicom, code),
            algorithm_type="AUTOMATIC",
            algorithm_identification=made_by,
        )
        for n, (structure, code) in enumerate(_CODES.items(), 1)
    ]
    masks = np.stack([labels == VALUE[structure] for structure in _CODES], axis=-1)
    segmentation = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=masks,  # (Z, H, W, segments)
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=series_uid,
        series_number=1000 + int(sources[0].get("SeriesNumber") or 0),
        sop_instance_uid=highdicom.UID(),
        instance_number=number,
        manufacturer="ctct",
        manufacturer_model_name="ctct",
        software_versions=version("ctct"),
        device_serial_number="0",
        content_label="CTCT",
        content_description=f"Phase {number}",
        omit_empty_frames=False,
    )
    stream = io.BytesIO()
    segmentation.save_as(stream)
    return stream.getvalue()


def _code(highdicom: Any, code: tuple[str, str], scheme: str = "SCT") -> Any:
    return highdicom.sr.CodedConcept(code[0], scheme, code[1])


def _source(opener: Opener, image: Image, slice_spacing_mm: float) -> Any:
    """The header of an image, with what a segmentation repeats of it; spacing as measured."""
    dataset = read_dataset(opener, image.file, stop_before_pixels=True)
    for name in _REPEATED:
        if name not in dataset or (name.endswith("Date") and not _is_date(dataset.get(name))):
            setattr(dataset, name, "")
    if "SliceThickness" not in dataset:
        dataset.SliceThickness = f"{slice_spacing_mm:.6g}"
    dataset.SpacingBetweenSlices = f"{slice_spacing_mm:.6g}"
    return dataset


def _agree(sources: list[Any]) -> None:
    """Give all the first one's orientation and frame of reference.

    Headers round the one differently, and some anonymisers give each image a frame of its own.
    """
    for name in ("ImageOrientationPatient", "FrameOfReferenceUID"):
        for source in sources:
            setattr(source, name, getattr(sources[0], name))


def _is_date(value: Any) -> bool:
    """Whether a date exists: anonymised ones may have a month or day 0."""
    try:
        datetime.strptime(str(value), "%Y%m%d")
    except ValueError:
        return False
    return True
