"""Which slices of a study run on which crop, in stages: a few show where the heart is for the rest.

A heart that lies away from the middle of the slices is followed to where it is, and searched for
where the middle shows none. Without a graph for heart crops, all slices run on the whole grid.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ctct.inference.batching import Job, Part
from ctct.inference.crop import (
    Crop,
    heart_crop,
    moved_crop,
    other_places,
    reaches_beyond,
    touches_edge,
    visible_crop,
)
from ctct.measurement.heart_box import SEARCH_STEP, heart_box, search_scales

#: Frames from which on a study is a cine, whose frames all run on one heart crop.
MIN_CINE_FRAMES = 6
#: How often a crop is moved after a heart at its edge.
MAX_MOVES = 3
#: Where there is more doubt about a heart, see :func:`_doubt`, another place may show the true one.
#: Of 264 stacks of ACDC and CHLA one has 0.77, all others at most 0.55.
MAX_DOUBT = 0.6

Stage = list[Part]


def stages(
    job: Job, grid: Mapping[str, Any] | None, heart_crop_grid: Mapping[str, Any] | None
) -> Iterator[Stage]:
    """The parts of each stage; the next stage is taken when those before have their answers.

    Args:
        job: the study.
        grid: ``size`` and ``spacing_mm`` of the networks' grid; None where it is unknown.
        heart_crop_grid: the same of the smaller grid, with ``heart_extent_mm`` if hearts are scaled
            to that size on it; None without a graph for heart crops.
    """
    study, z = job.study, job.study.slices
    every = slice(0, study.frames * z)
    volumes = [slice(first, first + z) for first in range(0, every.stop, z)]
    # All frames of a cine run alike, or one's volume would stand apart in the curve.
    spans = [every] if study.frames >= MIN_CINE_FRAMES else volumes
    if heart_crop_grid is None:
        yield [Part(job, visible_crop(_size(job), job.spacing_mm, grid), every)]
    for volume, span in zip(volumes, spans, strict=False):
        if heart_crop_grid is None:
            yield from _on_whole_grid(job, grid, volume, span)
        else:
            yield from _on_heart(job, grid, heart_crop_grid, volume, span)


def _on_whole_grid(
    job: Job, grid: Mapping[str, Any] | None, volume: slice, span: slice
) -> Iterator[Stage]:
    """Stages after the one in the middle, for a heart that this did not show, or not wholly."""
    visible = visible_crop(_size(job), job.spacing_mm, grid)
    if heart_box(job.labels[volume]):
        crop = yield from _follow(job, grid, visible, volume)
        if crop is not visible and span != volume:
            yield [Part(job, crop, span)]
    elif places := other_places(_size(job), job.spacing_mm, grid):
        found = yield from _search(job, grid, places, _third(volume))
        yield [Part(job, found or visible, span)]


def _on_heart(
    job: Job,
    grid: Mapping[str, Any] | None,
    heart_crop_grid: Mapping[str, Any],
    volume: slice,
    span: slice,
) -> Iterator[Stage]:
    """Stages of ``span``, the frames that run alike, by the heart in its first ``volume``."""
    size, spacing_mm, third = _size(job), job.spacing_mm, _third(volume)
    visible = visible_crop(size, spacing_mm, grid)
    # Where hearts are scaled to one size, labels of the whole grid only show the way.
    scales = search_scales(heart_crop_grid.get("heart_extent_mm", 0.0))
    views = [visible_crop(size, spacing_mm, grid, scale) for scale in scales]
    found = yield from _search(job, grid, [*views, *other_places(size, spacing_mm, grid)], third)
    if found and found.scale == 1:
        visible = found
    crop = heart_crop(job.labels[third], spacing_mm, heart_crop_grid) if found else None
    if span != volume or len(scales) > 1:
        yield [Part(job, crop or visible, span)]
    elif others := [
        slice(volume.start + offset, volume.stop, SEARCH_STEP)
        for offset in range(1, min(SEARCH_STEP, job.study.slices))
    ]:
        yield [Part(job, crop or visible, other) for other in others]
    z = job.study.slices
    for first in range(span.start, span.stop, z):
        frame = slice(first, first + z)
        if crop and touches_edge(job.labels[frame], crop, spacing_mm, heart_crop_grid).any():
            yield [Part(job, visible, frame)]
            yield from _follow(job, grid, visible, frame)


def _search(
    job: Job, grid: Mapping[str, Any] | None, views: Iterable[Crop], span: slice
) -> Generator[Stage, None, Crop | None]:
    """The first of the crops that shows a heart beyond doubt, moved after it.

    Where none does, the one with the least doubt; None without any heart. The slices have answers
    from it.
    """
    doubtful: dict[Crop, float] = {}
    shown = None  # the crop that the slices have answers from
    for view in views:
        yield [Part(job, view, span)]
        shown = view
        if not heart_box(job.labels[span]):
            continue
        shown = yield from _follow(job, grid, view, span)
        if shown is not view and not heart_box(job.labels[span]):
            continue
        doubtful[shown] = _doubt(job, span)
        if not doubtful[shown] > MAX_DOUBT:
            return shown
    if not doubtful:
        return None
    found = min(doubtful, key=lambda crop: doubtful[crop])
    if found is not shown:
        yield [Part(job, found, span)]
    return found


def _doubt(job: Job, span: slice) -> float:
    """Disagreement of the networks, summed, per labelled voxel; NaN of a single network."""
    total = float(job.disagreement[span].sum(dtype=float))
    return total / max(int(np.count_nonzero(job.labels[span])), 1)


def _follow(
    job: Job, grid: Mapping[str, Any] | None, crop: Crop, span: slice
) -> Generator[Stage, None, Crop]:
    """The crop, moved as long as the heart reaches its edge; the slices have answers from it."""
    for _ in range(MAX_MOVES):
        box = heart_box(job.labels[span])
        if box is None or not reaches_beyond(box, crop, _size(job), job.spacing_mm, grid):
            break
        assert grid is not None
        crop = moved_crop(box.center, job.spacing_mm, grid, crop.scale)
        yield [Part(job, crop, span)]
    return crop


def _size(job: Job) -> tuple[int, ...]:
    return job.slices.shape[1:]


def _third(volume: slice) -> slice:
    """The slices of a volume in which the heart is searched for."""
    return slice(volume.start, volume.stop, SEARCH_STEP)
