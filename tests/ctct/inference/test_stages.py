from __future__ import annotations

import numpy as np
import pytest

from ctct.inference.batching import Batch, Job, Part
from ctct.inference.crop import Crop, moved_crop, other_places
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


def wide_job(frames: int, slices: int) -> Job:
    """Slices of 400 mm, of which the grid shows rows and columns 80 to 319."""
    voxels = np.zeros((frames, slices, 400, 400), np.float32)
    return Job(Study("case", voxels, (1.0, 1.0), 8.0))


def answer(job: Job, stage: list[Part], rows: slice, columns: slice) -> None:
    """Label an LV in what the grid of each part shows, 120 mm on each side of its middle."""
    for part in stage:
        job.labels[part.span] = 0
        middle = [a + (n - 1) / 2 for a, n in zip(part.crop.start, part.crop.size, strict=True)]
        half_mm = (72 if part.crop.on_heart else 120) / part.crop.scale
        row, column = (slice(max(round(m - half_mm), 0), round(m + half_mm)) for m in middle)
        shown = np.zeros((400, 400), bool)
        shown[row, column] = True
        heart = np.zeros((400, 400), bool)
        heart[rows, columns] = True
        job.labels[part.span][:, shown & heart] = VALUE[LV]


@pytest.mark.parametrize("small", [None, SMALL, SCALED])
@pytest.mark.parametrize("frames", [1, 2, 6])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(160, 240), slice(280, 360)),  # partly beyond the grid, to the right
        (slice(10, 90), slice(20, 100)),  # but for a corner
        (slice(0, 79), slice(160, 240)),  # wholly beyond
        (slice(330, 400), slice(330, 400)),
    ],
)
def test_a_heart_away_from_the_middle_is_labelled_wholly(
    rows: slice, columns: slice, frames: int, small: dict[str, float] | None
) -> None:
    wide = wide_job(frames, 4)
    for stage in stages(wide, GRID, small):
        answer(wide, stage, rows, columns)
    heart = np.zeros((400, 400), bool)
    heart[rows, columns] = True
    assert (wide.labels == VALUE[LV] * heart).all()


def test_a_heart_in_the_middle_is_not_searched_for_elsewhere() -> None:
    crops = []
    for stage in stages(wide := wide_job(6, 4), GRID, SCALED):
        answer(wide, stage, slice(150, 240), slice(150, 240))
        crops += [part.crop for part in stage]
    assert [(crop.on_heart, crop.scale) for crop in crops] == [(False, 1), (True, 110 / 90)]


def test_where_no_place_shows_a_heart_the_middle_counts() -> None:
    crops = [part.crop for stage in stages(wide_job(1, 4), GRID, SCALED) for part in stage]
    places = other_places((400, 400), (1.0, 1.0), GRID)
    assert crops[3:-1] == places
    assert crops[-1] == crops[0]
    assert crops[0] == Crop((72, 72), (256, 256))
    assert places[0] == moved_crop((199.5 - 80, 199.5), (1.0, 1.0), GRID)


def test_a_doubtful_heart_counts_only_where_no_place_shows_a_better_one() -> None:
    # In the middle something small on which the networks disagree; the heart is at the left edge.
    wide = wide_job(1, 4)
    crops = []
    for stage in stages(wide, GRID, SCALED):
        answer(wide, stage, slice(150, 240), slice(0, 70))
        for part in stage:
            crops.append(part.crop)
            wide.disagreement[part.span] = 0
            if not wide.labels[part.span].any():
                wide.labels[part.span, 200:210, 200:210] = VALUE[LV]
                wide.disagreement[part.span, 200:210, 200:210] = 0.9
    assert crops[-1].on_heart
    assert (wide.labels[:, 150:240, 0:70] == VALUE[LV]).all()


def test_of_doubtful_hearts_the_one_with_the_least_doubt_counts() -> None:
    wide = wide_job(1, 4)
    crops = []
    for stage in stages(wide, GRID, SCALED):
        for part in stage:
            wide.labels[part.span, 180:220, 180:220] = VALUE[LV]
            wide.disagreement[part.span] = 0.5 if len(crops) == 1 else 1.0
            crops.append(part.crop)
    places = other_places((400, 400), (1.0, 1.0), GRID)
    assert crops[3:-2] == places
    assert (crops[-2], crops[-1].on_heart) == (crops[1], True)
