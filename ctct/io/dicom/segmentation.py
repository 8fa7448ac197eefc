"""Labels of a DICOM series as DICOM Segmentation objects (PS3.3, A.51), through highdicom."""

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
from ctct.io.dicom.quiet import quiet
from ctct.io.dicom.series import Series
from ctct.io.dicom.sources import Headers, refer, single_images
from ctct.io.dicom.stack import arrange
from ctct.labels import LV, MYO, RV, VALUE

log = logging.getLogger(__name__)

#: SNOMED CT code and meaning of what each structure is (PS3.16, CID 7151).
_CODES = {
    RV: ("53085002", "Right ventricle"),
    MYO: ("49848007", "Left Ventricle Myocardium"),
    LV: ("87878005", "Left ventricle"),
}
_CATEGORY = ("123037004", "Anatomical Structure")


def is_available() -> bool:
    """Whether highdicom is installed."""
    return find_spec("highdicom") is not None


def encode_segmentations(series: Series, labels: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    """A segmentation of each phase in turn, referring to the images it was made of.

    Args:
        series: what was segmented: one series or several, a file an image or enhanced files.
        labels: (T, Z, H, W), in the order of :func:`ctct.io.dicom.stack.arrange`.

    Raises:
        InputError: the source cannot be read again, or lacks an attribute.
    """
    import highdicom
    from pydicom.uid import generate_uid

    uid, stack = str(generate_uid()), arrange(series)
    with Opener() as opener:
        headers = Headers(opener)
        for number, (images, own) in enumerate(zip(stack.images, labels, strict=True), 1):
            try:
                with quiet:
                    sources, origins = single_images(headers, images, stack.slice_spacing_mm)
                    segmentation = _encode(highdicom, sources, own, uid, number)
                    refer(segmentation, origins)
                    stream = io.BytesIO()
                    segmentation.save_as(stream)
            except Exception as error:  # values that the standard forbids, for highdicom to find
                log.debug("%s", series.path, exc_info=True)
                why = str(error) if isinstance(error, AttributeError) else type(error).__name__
                raise InputError(f"{series.path}: gets no DICOM-SEG ({why})") from error
            yield stream.getvalue()


def _encode(
    highdicom: Any,
    sources: list[Any],
    labels: npt.NDArray[np.uint8],
    series_uid: str,
    number: int,
) -> Any:
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
    return highdicom.seg.Segmentation(
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


def _code(highdicom: Any, code: tuple[str, str], scheme: str = "SCT") -> Any:
    return highdicom.sr.CodedConcept(code[0], scheme, code[1])
