"""Labels of a DICOM series as DICOM Segmentation objects (PS3.3, A.51), made by highdicom."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.dicom.files import Opener
from ctct.io.dicom.series import Series
from ctct.io.dicom.sources import HeaderCache, copy_single_images, restore_references
from ctct.io.dicom.stack import arrange
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings
from ctct.labels import LV, MYO, RV, VALUE

log = logging.getLogger(__name__)

#: SNOMED CT code and meaning of each structure (PS3.16, CID 7151).
_CODES = {
    RV: ("53085002", "Right ventricle"),
    MYO: ("49848007", "Left Ventricle Myocardium"),
    LV: ("87878005", "Left ventricle"),
}
_CATEGORY = ("123037004", "Anatomical Structure")


def is_available() -> bool:
    """Whether highdicom is installed."""
    return find_spec("highdicom") is not None


def encode_segmentations(
    series: Series, labels: npt.NDArray[np.uint8], de_identify: bool = False
) -> Iterator[bytes]:
    """A segmentation object for each phase in turn, with references to the images of the phase.

    Args:
        series: the segmented images, of one series or several, in single-frame or enhanced files.
        labels: (T, Z, H, W), in the order of :func:`ctct.io.dicom.stack.arrange`.
        de_identify: leave out all that the headers say of patient, study, hospital and staff, but
            not the UIDs of study and images, without which no viewer finds the images.

    Raises:
        InputError: the images cannot be read again, or lack an attribute.
    """
    import highdicom
    from pydicom.uid import generate_uid

    uid, stack = str(generate_uid()), arrange(series)
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
                    stream = io.BytesIO()
                    segmentation.save_as(stream)
            except Exception as error:  # highdicom refuses values that the standard forbids
                log.debug("%s", series.path, exc_info=True)
                reason = str(error) if isinstance(error, AttributeError) else type(error).__name__
                raise InputError(
                    f"{series.path}: cannot be encoded as DICOM-SEG ({reason}); export it "
                    "again, or request no dicom-seg"
                ) from error
            yield stream.getvalue()


def _encode(
    highdicom: Any,
    images: list[Any],
    labels: npt.NDArray[np.uint8],
    series_uid: str,
    number: int,
) -> Any:
    algorithm = highdicom.AlgorithmIdentificationSequence(
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
            algorithm_identification=algorithm,
        )
        for n, (structure, code) in enumerate(_CODES.items(), 1)
    ]
    masks = np.stack([labels == VALUE[structure] for structure in _CODES], axis=-1)
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks,  # (Z, H, W, segments)
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=series_uid,
        series_number=1000 + int(images[0].get("SeriesNumber") or 0),
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


def _code(highdicom: Any, code: tuple[str, str], scheme: str = "SCT") -> Any:
    return highdicom.sr.CodedConcept(code[0], scheme, code[1])
