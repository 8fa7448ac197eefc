"""Labels of a DICOM series as DICOM Segmentation objects (PS3.3, A.51), made by highdicom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.dicom.cine_segmentation import Phase, join_phases, set_organization
from ctct.io.dicom.files import Opener
from ctct.io.dicom.instances import (
    MAKER,
    derive_uid,
    describe_failure,
    encode,
    fingerprint,
    study_attributes,
)
from ctct.io.dicom.series import Series
from ctct.io.dicom.sources import HeaderCache, copy_single_images, restore_references
from ctct.io.dicom.stack import arrange
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings
from ctct.labels import COLORS, LV, MYO, RV, VALUE

log = logging.getLogger(__name__)

SEG, SEG_CINE = "seg", "seg-cine"
#: SNOMED CT code and meaning of each structure (PS3.16, CID 7151).
CODES = {
    RV: ("53085002", "Right ventricle"),
    MYO: ("49848007", "Left Ventricle Myocardium"),
    LV: ("87878005", "Left ventricle"),
}
#: Number of the segment of each structure.
SEGMENT_NUMBER = {structure: number for number, structure in enumerate(CODES, 1)}
_CATEGORY = ("123037004", "Anatomical Structure")


def encode_segmentations(
    series: Series, labels: npt.NDArray[np.uint8], de_identify: bool = False
) -> Iterator[bytes]:
    """A segmentation object for each phase in turn, with references to the images of the phase.

    All are instances of one series.

    Args:
        series: the segmented images, of one series or several, in single-frame or enhanced files.
        labels: (T, Z, H, W), in the order of :func:`ctct.io.dicom.stack.arrange`.
        de_identify: leave out all that the headers say of patient, study, hospital and staff, but
            not the UIDs of study and images, without which no viewer finds the images.

    Raises:
        InputError: the images cannot be read again, or lack an attribute.
    """
    uids = segmentation_uids(series, labels, de_identify)
    for phase, uid in zip(_encode_phases(series, labels, de_identify), uids, strict=True):
        phase.segmentation.SOPInstanceUID = uid
        phase.segmentation.file_meta.MediaStorageSOPInstanceUID = uid
        yield encode(phase.segmentation, phase.attributes)


def encode_cine(series: Series, labels: npt.NDArray[np.uint8], de_identify: bool = False) -> bytes:
    """One segmentation object for all phases; see :func:`encode_segmentations`.

    Its frames have a temporal position, and refer to the images of their phase.
    """
    uid = cine_uid(series, labels, de_identify)
    phases = list(_encode_phases(series, labels, de_identify))
    return encode(join_phases(phases, uid), phases[0].attributes)


def segmentation_uids(
    series: Series, labels: npt.NDArray[np.uint8], de_identify: bool = False
) -> list[str]:
    """SOPInstanceUID of each of :func:`encode_segmentations`; others for other labels."""
    key = fingerprint(series, labels, de_identify)
    return [derive_uid(SEG, key, str(number)) for number in range(len(labels))]


def cine_uid(series: Series, labels: npt.NDArray[np.uint8], de_identify: bool = False) -> str:
    """SOPInstanceUID of :func:`encode_cine`; another one for other labels."""
    return derive_uid(SEG_CINE, fingerprint(series, labels, de_identify))


def segmentation_series(
    series: Series, labels: npt.NDArray[np.uint8], de_identify: bool = False
) -> str:
    """SeriesInstanceUID of all of :func:`encode_segmentations`."""
    return derive_uid("series", fingerprint(series, labels, de_identify))


def _encode_phases(
    series: Series, labels: npt.NDArray[np.uint8], de_identify: bool
) -> Iterator[Phase]:
    import highdicom

    uid, stack = segmentation_series(series, labels, de_identify), arrange(series)
    with Opener() as opener:
        headers = HeaderCache(opener)
        for number, (images, phase_labels) in enumerate(zip(stack.images, labels, strict=True), 1):
            try:
                with suppress_pydicom_warnings:
                    copies, originals = copy_single_images(
                        headers, images, stack.slice_spacing_mm, de_identify
                    )
                    segmentation = _encode(highdicom, copies, phase_labels, uid, number)
                    restore_references(segmentation, originals)
                    attributes = study_attributes(copies[0])
            except Exception as error:  # highdicom refuses values that the standard forbids
                log.debug("%s", series.path, exc_info=True)
                raise InputError(describe_failure(series, "DICOM-SEG", error)) from error
            yield Phase(segmentation, tuple(originals.values()), attributes)


def _encode(
    highdicom: Any,
    images: list[Any],
    labels: npt.NDArray[np.uint8],
    series_uid: str,
    number: int,
) -> Any:
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=MAKER,
        version=version("ctct"),
        family=_code(highdicom, ("123110", "Artificial Intelligence"), "DCM"),
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=SEGMENT_NUMBER[structure],
            segment_label=structure,
            segmented_property_category=_code(highdicom, _CATEGORY),
            segmented_property_type=_code(highdicom, code),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            display_color=highdicom.color.CIELabColor.from_rgb(*COLORS[structure]),
        )
        for structure, code in CODES.items()
    ]
    masks = np.stack([labels == VALUE[structure] for structure in CODES], axis=-1)
    segmentation = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks,  # (Z, H, W, segments)
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=series_uid,
        series_number=1000 + int(images[0].get("SeriesNumber") or 0),
        series_description="ctct segmentation",
        sop_instance_uid=highdicom.UID(),
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=version("ctct"),
        device_serial_number="0",
        content_label="CTCT",
        content_description=f"Phase {number}",
        omit_empty_frames=False,
    )
    set_organization(segmentation, derive_uid("dimensions", series_uid))
    return segmentation


def _code(highdicom: Any, code: tuple[str, str], scheme: str = "SCT") -> Any:
    return highdicom.sr.CodedConcept(code[0], scheme, code[1])
