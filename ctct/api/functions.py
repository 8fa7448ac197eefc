"""The public Python API, re-exported by :mod:`ctct`."""

from __future__ import annotations

from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter, load_model
from ctct.io.read import read_study
from ctct.io.study import Study
from ctct.measurement.volumes import Measurements, frame_volumes, measure_frames

__all__ = ["Segmentation", "Segmenter", "Study", "load_model", "measure", "read_study"]


def measure(
    segmentation: Segmentation, ed: int | None = None, es: int | None = None
) -> Measurements:
    """Volumes (mL) of every frame, and EDV, ESV, SV (mL), EF (%) and LV mass (g) of a cine.

    Args:
        segmentation: what :meth:`Segmenter.segment` returned.
        ed: number of the end-diastolic frame; found from the LV volume where left out.
        es: number of the end-systolic frame, likewise.
    """
    study = segmentation.study
    return measure_frames(frame_volumes(segmentation.labels, study.voxel_ml, study.name), ed, es)
