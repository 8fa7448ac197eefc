from __future__ import annotations

import numpy as np
import pytest

from ctct.inference.batching import Batch, Job, Part
from ctct.inference.crop import Crop
from ctct.inference.stages import stages
from ctct.io.study import Study
from ctct.labels import LV, VALUE

GRID = {"size": 160, "spacing_mm": 1.5}
SMALL = {"size": 96, "spacing_mm": 1.5}


def job(frames: int, slices: int) -> Job:
    voxels = np.zeros((frames, slices, 160, 160), np.float32)
    return Job(Study("case", voxels, (1.5, 1.5), 8.0))


def label_heart(job: Job, span: slice) -> None:
    job.labels[span, 70:90, 70:90] = VALUE[LV]


def test_without_a_graph_for_heart_crops_all_slices_run_at_once() -> None:
    ((part,),) = stages(job(2, 5), GRID, None)
    assert part.span == slice(0, 10)
    assert part.crop == Crop((0, 0), (160, 160))


def test_slices_of_a_volume_follow_every_third_on_the_crop_found_there() -> None:
    volume = job(1, 7)
    steps = stages(volume, GRID, SMALL)
    (first,) = next(steps)
    assert (first.span, first.crop.on_heart) == (slice(0, 7, 3), False)
    label_heart(volume, first.span)
    rest = next(steps)
    assert [part.span for part in rest] == [slice(1, 7, 3), slice(2, 7, 3)]
    assert all(part.crop.on_heart for part in rest)
    assert list(steps) == []


@pytest.mark.parametrize("slices", [1, 2, 7])
def test_without_a_heart_every_slice_runs_once_on_the_whole_grid(slices: int) -> None:
    parts = [part for stage in stages(job(1, slices), GRID, SMALL) for part in stage]
    assert not any(part.crop.on_heart for part in parts)
    assert sorted(z for p in parts for z in range(slices)[p.span]) == list(range(slices))


def test_all_frames_of_a_cine_run_on_one_crop() -> None:
    cine = job(6, 4)
    steps = stages(cine, GRID, SMALL)
    (first,) = next(steps)
    assert first.span == slice(0, 4, 3)
    label_heart(cine, first.span)
    (every,) = next(steps)
    assert (every.span, every.crop.on_heart) == (slice(0, 24), True)
    # The 96 pixels of its grid lie around (80, 80), from 32 on. Frame 2 reaches their edge.
    cine.labels[9, 32, 80] = VALUE[LV]
    ((again,),) = steps
    assert (again.span, again.crop.on_heart) == (slice(8, 12), False)


def test_each_frame_of_a_short_series_has_a_crop_of_its_own() -> None:
    spans = [part.span for stage in stages(job(2, 3), GRID, SMALL) for part in stage]
    assert [(span.start, span.stop) for span in spans] == [
        *((0, 3), (1, 3), (2, 3)),
        *((3, 6), (4, 6), (5, 6)),
    ]


SCALED = SMALL | {"heart_extent_mm": 110.0}


def test_where_hearts_are_scaled_every_slice_runs_on_the_crop() -> None:
    volume = job(1, 7)
    steps = stages(volume, GRID, SCALED)
    (first,) = next(steps)
    assert (first.span, first.crop.on_heart, first.crop.scale) == (slice(0, 7, 3), False, 1.0)
    label_heart(volume, first.span)  # 20 pixels of 1.5 mm
    (every,) = next(steps)
    assert (every.span, every.crop.on_heart) == (slice(0, 7), True)
    assert every.crop.scale == pytest.approx(110 / 30)
    assert list(steps) == []


def test_a_heart_that_is_not_found_is_searched_for_at_other_scales() -> None:
    volume = job(1, 4)
    steps = stages(volume, GRID, SCALED)
    assert [next(steps)[0].crop.scale for _ in range(2)] == [1.0, 1.6]
    label_heart(volume, slice(0, 4, 3))
    (every,) = next(steps)
    assert every.crop.on_heart
    # Never found: all slices as they are.
    parts = [stage[0] for stage in stages(job(6, 4), GRID, SCALED)]
    assert [part.crop.scale for part in parts] == [1.0, 1.6, 0.7, 1.0]
    assert (parts[-1].span, parts[-1].crop.on_heart) == (slice(0, 24), False)


def test_the_graph_is_told_the_scaled_spacing() -> None:
    volume = job(1, 2)
    crop = Crop((40, 40), (64, 64), on_heart=True, scale=2.0)
    slices, spacing_mm = Batch((Part(volume, crop, slice(0, 2)),)).inputs()
    assert slices.shape == (2, 1, 64, 64)
    assert spacing_mm.tolist() == [[3.0, 3.0], [3.0, 3.0]]
