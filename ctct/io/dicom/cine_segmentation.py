"""The segmentations of all phases as one DICOM Segmentation object with a temporal dimension.

highdicom, which makes those of the phases, has no dimension of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from ctct.io.dicom.instances import derive_uid
from ctct.io.dicom.sources import Original, list_sources, make_item

_TEMPORAL_POSITION_INDEX, _FRAME_CONTENT_SEQUENCE = 0x00209128, 0x00209111


class Phase(NamedTuple):
    """The segmentation of one phase.

    Attributes:
        segmentation: a data set, with a frame for each segment and slice.
        originals: the images that it was made from.
        attributes: patient and study.
    """

    segmentation: Any
    originals: tuple[Original, ...]
    attributes: Any


def join_phases(phases: Sequence[Phase], uid: str) -> Any:
    """One segmentation, of frames in order of segment, phase and slice; empty ones are left out.

    A frame names its phase in TemporalPositionIndex (PS3.3, C.7.6.16.2.2), by which the frames of a
    dimension of their own are ordered.

    Args:
        phases: in order; they are changed.
        uid: SOPInstanceUID.
    """
    from pydicom.pixels.utils import pack_bits

    frames = []
    for number, phase in enumerate(phases, 1):
        groups = phase.segmentation.PerFrameFunctionalGroupsSequence
        for group, mask in zip(groups, _masks(phase.segmentation), strict=True):
            content = group.FrameContentSequence[0]
            segment, *place = content.DimensionIndexValues
            content.DimensionIndexValues = [segment, number, *place]
            content.TemporalPositionIndex = number
            if mask.any():
                frames.append((list(content.DimensionIndexValues), group, mask.astype(bool)))
    joined = phases[0].segmentation
    if not frames:  # nothing is labelled, but a segmentation has frames
        groups, masks = joined.PerFrameFunctionalGroupsSequence, _masks(joined)
        frames = [([n], groups[n], masks[n]) for n in range(len(masks))]
    frames.sort(key=lambda frame: frame[0])
    joined.PixelData = pack_bits(np.stack([mask for _, _, mask in frames]))
    joined.PerFrameFunctionalGroupsSequence = [group for _, group, _ in frames]
    joined.NumberOfFrames = len(frames)
    joined.DimensionIndexSequence.insert(
        1,
        make_item(
            DimensionIndexPointer=_TEMPORAL_POSITION_INDEX,
            FunctionalGroupPointer=_FRAME_CONTENT_SEQUENCE,
            DimensionDescriptionLabel="Temporal Position Index",
        ),
    )
    set_organization(joined, derive_uid("dimensions", uid))
    list_sources(joined, chain.from_iterable(phase.originals for phase in phases))
    joined.SOPInstanceUID = joined.file_meta.MediaStorageSOPInstanceUID = uid
    joined.SeriesInstanceUID = derive_uid("series", uid)
    joined.SeriesNumber = 1000 + int(joined.SeriesNumber)
    joined.SeriesDescription = "ctct segmentation of the cine"
    joined.ContentDescription = f"All {len(phases)} phases"
    return joined


def split_phases(joined: Any) -> list[Any]:
    """A segmentation of each phase of a cine, or the one of a single phase; None of an empty phase.

    Args:
        joined: a data set, as of :func:`join_phases`; it is not changed.
    """
    from pydicom.pixels.utils import pack_bits

    groups = joined.PerFrameFunctionalGroupsSequence
    numbers = [number for group in groups if (number := _number(group)) is not None]
    if len(numbers) < len(groups):
        return [joined]
    masks = _masks(joined)
    pointers = [item.DimensionIndexPointer for item in joined.DimensionIndexSequence]
    at = pointers.index(_TEMPORAL_POSITION_INDEX) if _TEMPORAL_POSITION_INDEX in pointers else None
    phases: list[Any] = []
    for number in range(1, max(numbers) + 1):
        chosen = [n for n, other in enumerate(numbers) if other == number]
        if not chosen:
            phases.append(None)
            continue
        phase = deepcopy(joined)
        phase.PerFrameFunctionalGroupsSequence = [deepcopy(groups[n]) for n in chosen]
        phase.NumberOfFrames = len(chosen)
        phase.PixelData = pack_bits(masks[chosen].astype(bool))
        if at is not None:
            del phase.DimensionIndexSequence[at]
        for group in phase.PerFrameFunctionalGroupsSequence:
            content = group.FrameContentSequence[0]
            del content.TemporalPositionIndex
            if at is not None:
                values = list(content.DimensionIndexValues)
                content.DimensionIndexValues = values[:at] + values[at + 1 :]
        phases.append(phase)
    return phases


def _number(group: Any) -> int | None:
    """The number of the phase of a frame, from 1; None where it has none."""
    content = group.get("FrameContentSequence") or [{}]
    number = content[0].get("TemporalPositionIndex")
    return None if number is None else int(number)


def set_organization(segmentation: Any, uid: str) -> None:
    """Give the dimensions of a segmentation a UID."""
    segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for dimension in segmentation.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = uid


def _masks(segmentation: Any) -> Any:
    """The masks (frames, H, W) of a segmentation, also of a single frame."""
    return segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
