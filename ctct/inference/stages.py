"""Which slices of a study run on which crop, in stages: a few show where the heart is for the rest.

Without a graph for heart crops there is one stage, all slices on the whole grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ctct.inference.batching import Job, Part
from ctct.inference.crop import heart_crop, touches_edge, visible_crop
from ctct.measurement.heart_box import SEARCH_STEP, search_scales

#: Frames from which on a study is a cine, whose frames all run on one heart crop.
MIN_CINE_FRAMES = 6


def stages(
    job: Job, grid: Mapping[str, Any] | None, heart_crop_grid: Mapping[str, Any] | None
) -> Iterator[list[Part]]:
    """The parts of each stage; the next stage is taken when those before have their answers.

    Args:
        job: the study.
        grid: ``size`` and ``spacing_mm`` of the networks' grid; None where it is unknown.
        heart_crop_grid: the same of the smaller grid, with ``heart_extent_mm`` if hearts are scaled
            to that size on it; None without a graph for heart crops.
    """
    study = job.study
    size, spacing_mm = job.slices.shape[1:], job.spacing_mm
    visible = visible_crop(size, spacing_mm, grid)
    z, every = study.slices, slice(0, study.frames * study.slices)
    if heart_crop_grid is None:
        yield [Part(job, visible, every)]
        return
    is_cine = study.frames >= MIN_CINE_FRAMES
    # Where hearts are scaled to one size, labels of the whole grid only show the way.
    scales = search_scales(heart_crop_grid.get("heart_extent_mm", 0.0))
    is_scaled = len(scales) > 1
    volumes = [slice(first, first + z) for first in range(0, every.stop, z)]
    for volume in volumes[:1] if is_cine else volumes:
        thirds = [
            slice(volume.start + offset, volume.stop, SEARCH_STEP)
            for offset in range(min(SEARCH_STEP, z))
        ]
        crop = None
        for scale in scales:
            yield [Part(job, visible_crop(size, spacing_mm, grid, scale), thirds[0])]
            if crop := heart_crop(job.labels[thirds[0]], spacing_mm, heart_crop_grid):
                break
        # All frames of a cine run alike, or this one's volume would stand apart in the curve.
        rest = [every] if is_cine else [volume] if is_scaled else thirds[1:]
        if rest:
            yield [Part(job, crop or visible, span) for span in rest]
        for frame in volumes if is_cine else [volume]:
            if crop and touches_edge(job.labels[frame], crop, spacing_mm, heart_crop_grid).any():
                yield [Part(job, visible, frame)]
