"""What quality flags need of a case, kept beside its labels so that a run can be continued."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ctct.inference.segmentation import Segmentation
from ctct.io.case import Case
from ctct.measurement.quality_flags import REVIEW, Flag, image_flags
from ctct.measurement.quality_indicators import FrameIndicators, frame_indicators
from ctct.measurement.volumes import frame_volumes, measure_frames
from ctct.report.montage import disagreement_jpeg
from ctct.storage import prepare_folder, strict_json, write_atomic


@dataclass(frozen=True)
class CaseIndicators:
    """Signs of trouble in a case.

    Attributes:
        image: flags of the image itself.
        frames: indicators of each frame.
    """

    image: tuple[Flag, ...]
    frames: tuple[FrameIndicators, ...]


def case_indicators(segmentation: Segmentation) -> CaseIndicators:
    """Look for indicators of trouble in every frame of a case."""
    study = segmentation.study
    removed = segmentation.removed or (0,) * study.frames
    return CaseIndicators(
        (
            *image_flags(study.spacing_mm, study.slice_spacing_mm, study.voxels.shape[2:]),
            *(Flag(REVIEW, note) for note in study.notes),
        ),
        tuple(
            map(
                frame_indicators,
                study.voxels,
                segmentation.labels,
                segmentation.disagreement,
                removed,
            )
        ),
    )


def indicators_path(folder: Path, case: Case) -> Path:
    """Where the indicators of ``case`` are kept."""
    return folder / "quality" / f"{case.name}.json"


def disagreement_path(folder: Path, case: Case) -> Path:
    """Where the picture of the disagreement of ``case`` is kept."""
    return folder / "quality" / f"{case.name}.jpg"


def write_indicators(
    folder: Path, case: Case, segmentation: Segmentation, picture: bool = True
) -> None:
    """Keep the indicators of a case that was just segmented, and for the report a picture.

    The picture is of the disagreement in the ED and the ES of the case's own volume curve, or in
    its only frame.
    """
    path = indicators_path(folder, case)
    prepare_folder(path.parent)
    write_atomic(path, strict_json(asdict(case_indicators(segmentation))))
    study, labels = segmentation.study, segmentation.labels
    # Not NaN, as it is of a network alone.
    if picture and np.isfinite(segmentation.disagreement).all():
        m = measure_frames(frame_volumes(labels, study.voxel_ml))
        phases = {"ED": m.ed, "ES": m.es}
        rows = {f"{name} {at}": at for name, at in phases.items() if at is not None}
        rows = rows or {case.name: 0}
        drawn = disagreement_jpeg(study, labels, segmentation.disagreement, rows)
        write_atomic(disagreement_path(folder, case), drawn)


def read_indicators(folder: Path, case: Case) -> CaseIndicators | None:
    """Signs kept of a case; None where there are none, or none of this version."""
    try:
        content = json.loads(indicators_path(folder, case).read_text())
        return CaseIndicators(
            tuple(Flag(**flag) for flag in content["image"]),
            tuple(_frame(frame) for frame in content["frames"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _frame(content: dict[str, Any]) -> FrameIndicators:
    """The inverse of ``asdict``, with NaN for null and tuples for lists."""

    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: known(item) for key, item in value.items()}
        if isinstance(value, list):
            return tuple(known(item) for item in value)
        return math.nan if value is None else value

    return FrameIndicators(
        **{field.name: known(content[field.name]) for field in fields(FrameIndicators)}
    )
