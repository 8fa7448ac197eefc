"""Quality indicators of a case, and where what is stored beside its labels lies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ctct.inference.segmentation import Segmentation
from ctct.io.study import Study
from ctct.measurement.coverage import coverage_flags
from ctct.measurement.quality_flags import REVIEW, Flag, image_flags
from ctct.measurement.quality_indicators import FrameIndicators, frame_indicators
from ctct.measurement.stack_flags import stack_flags, timing_flags

_FRAME_FIELDS = frozenset(field.name for field in fields(FrameIndicators))


@dataclass(frozen=True)
class CaseIndicators:
    """Quality indicators of a case.

    Attributes:
        image: flags of the image itself: what reading it raised, ``Study.notes``, and how it
            differs from the training images.
        frames: indicators of each frame.
    """

    image: tuple[Flag, ...]
    frames: tuple[FrameIndicators, ...]

    @property
    def image_reasons(self) -> list[str]:
        """The flags of the image, a sentence each."""
        return [flag.reason for flag in self.image]


def join_indicators(
    scans: Iterable[tuple[CaseIndicators | None, int]],
) -> tuple[tuple[FrameIndicators | None, ...], dict[Flag, None]]:
    """The indicators of all scans of a patient, as those of one scan.

    Args:
        scans: indicators of each scan, None where they are not known, and its number of frames.

    Returns:
        The indicators of all frames, and as keys the flags of the images, each once.
    """
    frames: list[FrameIndicators | None] = []
    image: dict[Flag, None] = {}
    for indicators, count in scans:
        frames += indicators.frames if indicators else [None] * count
        image |= dict.fromkeys(indicators.image if indicators else ())
    return tuple(frames), image


def study_flags(study: Study) -> tuple[Flag, ...]:
    """Flags of the image: how it differs from a short-axis cine, and what reading it raised."""
    return (
        *image_flags(study.spacing_mm, study.slice_spacing_mm, study.voxels.shape[2:]),
        *stack_flags(study.voxels, study.slice_spacing_mm),
        *(Flag(REVIEW, note) for note in study.notes),
    )


def case_indicators(segmentation: Segmentation) -> CaseIndicators:
    """Compute the quality indicators of every frame of a case."""
    study = segmentation.study
    removed = segmentation.removed or (0,) * study.frames
    frames = map(
        frame_indicators, study.voxels, segmentation.labels, segmentation.disagreement, removed
    )
    flags = (
        *study_flags(study),
        *timing_flags(segmentation.labels),
        *coverage_flags(
            segmentation.labels, study.voxels, study.spacing_mm, study.slice_spacing_mm
        ),
    )
    return CaseIndicators(flags, tuple(frames))


def output_path(folder: Path, case: str) -> Path:
    """Where the label map of the case of that name goes."""
    return folder / f"{case}_seg.nii.gz"


def indicators_path(folder: Path, case: str) -> Path:
    """Where the record of the case of that name, with its indicators, is stored."""
    return folder / "quality" / f"{case}.json"


def disagreement_path(folder: Path, case: str) -> Path:
    """Where the disagreement picture of the case of that name is stored."""
    return folder / "quality" / f"{case}.jpg"


def contours_path(folder: Path, case: str) -> Path:
    """Where the picture of the contours, for the report, of the case of that name is stored."""
    return folder / "quality" / "contours" / f"{case}.jpg"


def decode_indicators(content: Mapping[str, Any]) -> CaseIndicators | None:
    """The indicators in a record; None where there are none, or of another version."""
    try:
        return CaseIndicators(
            tuple(Flag(**flag) for flag in content["image"]),
            tuple(_decode_frame(frame) for frame in content["frames"]),
        )
    except (KeyError, TypeError):
        return None


def _decode_frame(content: dict[str, Any]) -> FrameIndicators:
    """The inverse of ``asdict``, with NaN for null and tuples for lists."""

    def decode(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: decode(item) for key, item in value.items()}
        if isinstance(value, list):
            return tuple(map(decode, value))
        return math.nan if value is None else value

    if content.keys() != _FRAME_FIELDS:
        odd = ", ".join(_FRAME_FIELDS ^ content.keys())
        raise KeyError(f"indicators of another version: {odd}")
    return FrameIndicators(**{name: decode(value) for name, value in content.items()})
