"""The images that results refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ctct.io.dicom.files import Opener
from ctct.io.dicom.instances import study_attributes
from ctct.io.dicom.series import Series
from ctct.io.dicom.sources import HeaderCache, Original, original_of
from ctct.io.dicom.stack import arrange


@dataclass(frozen=True)
class SourceImages:
    """Images of some frames of a series.

    Attributes:
        study: data set with the attributes of patient and study.
        series_number: of the series, 0 where it has none.
        frame_of_reference: its UID; "" where the images lack it.
        size: rows and columns.
        frames: number of the frame, from 0, to its images in order of the slices.
    """

    study: Any
    series_number: int
    frame_of_reference: str
    size: tuple[int, int]
    frames: Mapping[int, tuple[Original, ...]]

    @property
    def all(self) -> list[Original]:
        """All images, each once."""
        return list(dict.fromkeys(chain.from_iterable(self.frames.values())))


def read_source_images(
    series: Series, frames: Iterable[int], de_identify: bool = False
) -> SourceImages:
    """Read the headers of the images of some frames.

    Args:
        series: the segmented images.
        frames: numbers of at least one frame, from 0.
        de_identify: leave out what the headers say of patient and study, but for its UID.

    Raises:
        AttributeError: the images do not say of which study they are.
    """
    stack = arrange(series)
    originals: dict[int, tuple[Original, ...]] = {}
    first: Any = None
    with Opener() as opener:
        headers = HeaderCache(opener)
        for number in dict.fromkeys(frames):
            images = []
            for image in stack.images[number]:
                header = headers(image.file)
                first = first or header
                images.append(original_of(image, header))
            originals[number] = tuple(images)
    return SourceImages(
        study_attributes(first, de_identify),
        int(first.get("SeriesNumber") or 0),
        str(first.get("FrameOfReferenceUID") or ""),
        (int(first.Rows), int(first.Columns)),
        originals,
    )
