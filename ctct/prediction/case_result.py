"""Everything computed for one scan: labels, measurements, quality, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ctct import labels as label_orders
from ctct.inference.segmentation import Segmentation
from ctct.io.nifti import encode_labels
from ctct.io.study import Study
from ctct.measurement.motion_flags import motion_flags
from ctct.measurement.papillary import LABELS, count_papillary
from ctct.measurement.quality_flags import Flag, Judgement, judge
from ctct.measurement.volumes import FrameVolumes, Measurements, frame_volumes
from ctct.measurement.wall import seen_from_apex, wall_thickness_mm
from ctct.prediction.patients import PatientContext
from ctct.prediction.quality_record import CaseIndicators, case_indicators
from ctct.report.montage import disagreement_jpeg, montage_jpeg, montage_png


@dataclass(frozen=True, eq=False)
class CaseResult:
    """Everything computed for one scan; see :func:`analyze_case`.

    Attributes:
        name: of the case, the stem of every file written for it.
        study: the scan.
        labels: (T, Z, H, W) uint8, 0 background, 1 RV, 2 MYO, 3 LV.
        disagreement: (T, Z, H, W) float16, 0…1, NaN of a single network; None for labels of an
            earlier run, which are stored without it.
        measurements: volumes, ED and ES, indices.
        indicators: quality indicators; None where an earlier run stored none.
        motion: flags of frames that hardly show one heart, or one that contracts.
        judgement: verdict, score and flags.
        has_image: whether ``study`` holds the scan's intensities; otherwise only its geometry.
        stored_picture: the disagreement picture of an earlier run.
    """

    name: str
    study: Study
    labels: npt.NDArray[np.uint8]
    disagreement: npt.NDArray[np.float16] | None
    measurements: Measurements
    indicators: CaseIndicators | None
    motion: tuple[Flag, ...]
    judgement: Judgement
    has_image: bool = True
    stored_picture: bytes = b""

    @property
    def frames(self) -> tuple[FrameVolumes, ...]:
        """Volumes of each frame."""
        return self.measurements.frames

    @property
    def mean_disagreement(self) -> float | None:
        """Mean over the voxels labelled as a structure, 0…1; None where nothing is labelled."""
        foreground = self.labels > 0
        if self.disagreement is None or not foreground.any():
            return None
        return float(self.disagreement[foreground].mean(dtype=float))

    def wall_mm(self, frame: int) -> tuple[float, ...]:
        """Wall thickness of the 16 segments of a frame; see :func:`wall_thickness_mm`."""
        labels = self.labels[frame]
        from_apex = seen_from_apex(labels, self.study.affine)
        return wall_thickness_mm(labels, self.study.spacing_mm, from_apex)

    def doubtful_slices(self, frame: int) -> tuple[int, ...]:
        """Numbers of the slices of a frame whose labels are in doubt; none where not known."""
        return self.indicators.frames[frame].doubtful_slices if self.indicators else ()

    def encode_labels(self, label_order: str = "acdc") -> bytes:
        """The label map as a NIfTI file in the geometry of the scan.

        Args:
            label_order: numbering of the structures, a key of ``ctct.labels.ORDERS``.

        Raises:
            InputError: the label order is unknown.
        """
        return encode_labels(self.study, label_orders.remap(self.labels, target=label_order))

    def draw_contours(self) -> bytes:
        """PNG of ED and ES, or of the only frame, with the outline of each structure."""
        phases = self.measurements.phases
        rows = {f"{phase}, frame {number}": number for phase, number in phases.items()}
        rows = rows or {self.name: 0}
        doubtful = {(t, z) for t in rows.values() for z in self.doubtful_slices(t)}
        return montage_png(self.study, self.labels, rows, doubtful)

    @cached_property
    def disagreement_picture(self) -> bytes:
        """JPEG of ED and ES, or of the only frame, with the disagreement in red.

        Empty where the disagreement is not known, as of a single network.
        """
        if self.disagreement is None or not np.isfinite(self.disagreement).all():
            return self.stored_picture
        phases = self.measurements.phases
        rows = {f"{phase} {number}": number for phase, number in phases.items()}
        return disagreement_jpeg(self.study, self.labels, self.disagreement, rows or {self.name: 0})


def analyze_case(
    segmentation: Segmentation,
    *,
    name: str | None = None,
    context: PatientContext | None = None,
    papillary: str = LABELS,
) -> CaseResult:
    """Measure and judge a segmented scan. Nothing is read or written.

    Args:
        segmentation: the labels, after clean-up where that is wanted.
        name: of the case; that of the study where left out.
        context: ED and ES where they are known, and the patient's body.
        papillary: what papillary muscles count with, in volumes and mass alone.
    """
    study = segmentation.study
    name = study.name if name is None else name
    counted = count_papillary(segmentation.labels, study.voxels, papillary)
    frames = frame_volumes(counted, study.voxel_ml, name)
    indicators = case_indicators(segmentation)
    measurements = (context or PatientContext()).measure(frames)
    motion = find_motion(segmentation.labels, measurements, study)
    return CaseResult(
        name,
        study,
        segmentation.labels,
        segmentation.disagreement,
        measurements,
        indicators,
        motion,
        judge_case(measurements, indicators, motion),
    )


def find_motion(
    labels: npt.NDArray[np.uint8], measurements: Measurements, study: Study
) -> tuple[Flag, ...]:
    """Flags of labels (T, Z, H, W) whose frames hardly show one heart, or one that contracts."""
    return tuple(motion_flags(list(labels), measurements.ed, measurements.es, study.spacing_mm))


def judge_case(
    measurements: Measurements, indicators: CaseIndicators | None, motion: Sequence[Flag]
) -> Judgement:
    """The judgement of a case, whose indicators may not be known."""
    if indicators is None:
        return judge(measurements, [None] * len(measurements.frames), motion)
    return judge(measurements, indicators.frames, [*indicators.image, *motion])


def draw_phases(frames: Mapping[str, tuple[CaseResult, int]]) -> bytes:
    """JPEG of frames with contours, slices from base to apex, one row per frame.

    Args:
        frames: caption to the case and the number of the frame in it. Of frames that differ in size
            from the first, and of cases without an image, nothing is drawn.

    Returns:
        Empty where nothing can be drawn.
    """
    drawable = {caption: at for caption, at in frames.items() if at[0].has_image}
    if not drawable:
        return b""
    shape = next(iter(drawable.values()))[0].study.voxels.shape[1:]
    drawable = {
        caption: (case, number)
        for caption, (case, number) in drawable.items()
        if case.study.voxels.shape[1:] == shape
    }
    first = next(iter(drawable.values()))[0].study
    voxels = np.stack([case.study.voxels[number] for case, number in drawable.values()])
    labels = np.stack([case.labels[number] for case, number in drawable.values()])
    rows = {caption: row for row, caption in enumerate(drawable)}
    doubtful = {
        (row, z)
        for row, (case, number) in enumerate(drawable.values())
        for z in case.doubtful_slices(number)
    }
    return montage_jpeg(replace(first, voxels=voxels), labels, rows, doubtful)
