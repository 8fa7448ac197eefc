"""The result of a case with corrected labels: its volumes, indicators and flags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ctct.measurement.papillary import LABELS, count_papillary
from ctct.measurement.quality_flags import OK, REVIEW, Flag
from ctct.measurement.quality_indicators import FrameIndicators, frame_indicators
from ctct.measurement.volumes import frame_volumes
from ctct.prediction.case_result import CaseResult, find_motion, judge_case
from ctct.prediction.patients import PatientContext
from ctct.prediction.quality_record import CaseIndicators

#: Less overlap of a structure with the automatic labels looks like the map of another scan.
_MIN_DICE = 0.3


def edit_result(
    automatic: CaseResult,
    labels: npt.NDArray[np.uint8],
    context: PatientContext,
    dice: dict[str, float],
    papillary: str = LABELS,
    all_frames: bool = False,
) -> CaseResult:
    """The result with other labels.

    The indicators of the frames that were changed are computed anew. How far the networks disagree
    says nothing of labels that are not theirs, so it is not known there, and the verdict on an
    edited patient is at least "review".

    Args:
        automatic: the result of the networks.
        labels: (T, Z, H, W), corrected.
        context: ED and ES where they are known, and the patient's body.
        dice: structure to the Dice with the automatic labels; empty where nothing was changed.
        papillary: what the papillary muscles count with.
        all_frames: whether any frame may have been changed, and not only those that differ.
    """
    study = automatic.study
    counted = count_papillary(labels, study.voxels, papillary)
    measurements = context.measure(frame_volumes(counted, study.voxel_ml, automatic.name))
    stored = automatic.indicators
    frames = tuple(
        stored.frames[t]
        if stored and not all_frames and np.array_equal(labels[t], automatic.labels[t])
        else _indicators(automatic, labels[t], t)
        for t in range(len(labels))
    )
    image = (stored.image if stored else ()) + tuple(edit_flags(dice))
    indicators = CaseIndicators(image, frames)
    motion = find_motion(labels, measurements, study)
    return replace(
        automatic,
        labels=labels,
        measurements=measurements,
        indicators=indicators,
        motion=motion,
        judgement=judge_case(measurements, indicators, motion),
        stored_picture=b"",
    )


def edit_flags(dice: dict[str, float]) -> list[Flag]:
    """What a reader must know of an edited map: that it is one, and where it hardly overlaps."""
    if not dice:
        return []
    flags = [Flag(OK, "the labels were edited by hand")]
    if low := [f"{s} {value:.2f}" for s, value in dice.items() if value < _MIN_DICE]:
        flags.append(
            Flag(
                REVIEW,
                f"the edited labels hardly overlap the automatic ones (Dice {', '.join(low)}); are "
                "they of this scan?",
            )
        )
    return flags


def _indicators(
    automatic: CaseResult, labels: npt.NDArray[np.uint8], frame: int
) -> FrameIndicators:
    """Of labels that no network made: without disagreement; without intensities, no contrast."""
    voxels = automatic.study.voxels[frame].astype(np.float32)
    if not automatic.has_image:
        voxels = np.broadcast_to(np.arange(voxels.shape[-1], dtype=np.float32), voxels.shape)
    unknown = np.full(labels.shape, np.nan, np.float32)
    indicators = frame_indicators(voxels, labels, unknown)
    return indicators if automatic.has_image else replace(indicators, contrast=float("nan"))
