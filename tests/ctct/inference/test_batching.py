from __future__ import annotations

import numpy as np
import pytest

from ctct.inference.batching import Batch, Batcher, Job, batch_size, recentred
from ctct.inference.contract import Prediction
from ctct.io.study import Study

GRID = {"size": 160, "spacing_mm": 1.5}


def job(slices: int, rows: int = 4, columns: int = 4) -> Job:
    voxels = np.arange(slices * rows * columns, dtype=np.float32)
    study = Study("case", voxels.reshape(1, slices, rows, columns), (1.5, 1.5), 8.0)
    return Job(study, (rows, columns))


@pytest.mark.parametrize(
    ("pixels", "spacing_mm", "expected"),
    [
        # The outermost points of the grid are 159 × 1.5 = 238.5 mm apart, and one step of 1.5 mm
        # further out on both sides makes 241.5 mm: 161 pixels of 1.5 mm, up to a multiple of 16.
        (256, 1.5, 176),
        (257, 1.5, 161),  # odd stays odd: the centre lies on a pixel
        # 238.5 mm are 79.5 pixels of 3 mm; one pixel on both sides makes 82.
        (256, 3.0, 96),
        (160, 1.5, 160),  # smaller than what the grid sees
        (100, 1.5, 112),
        (97, 1.5, 97),
        (512, 0.5, 496),  # 483
    ],
)
def test_batch_size(pixels: int, spacing_mm: float, expected: int) -> None:
    assert batch_size(pixels, spacing_mm, GRID) == expected


def test_of_an_unknown_grid_nothing_is_changed() -> None:
    assert batch_size(217, 1.5, None) == 217


def test_recentred_cuts_and_fills_on_both_sides_alike() -> None:
    array = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    expected = [[0, 0], [2, 3], [6, 7], [0, 0]]
    assert recentred(array, (4, 2)).tolist() == expected
    assert recentred(np.array([[1, 2, 3]]), (3, 1)).tolist() == [[0], [2], [0]]
    assert recentred(array, (2, 4)) is array


def test_recentred_there_and_back() -> None:
    array = np.arange(2 * 5 * 8).reshape(2, 5, 8)
    assert (recentred(recentred(array, (17, 16)), (5, 8)) == array).all()


def test_slices_of_several_studies_share_a_batch_and_find_home() -> None:
    jobs = [job(3), job(2), job(4, rows=6)]
    batcher = Batcher()
    for each in jobs:
        batcher.add(each)
    full = list(batcher.full(4))
    assert [len(batch) for batch in full] == [4, 4]
    assert [part for _, part in full[0].parts] == [slice(0, 3), slice(0, 1)]
    rest = list(batcher.oldest(4))
    assert [len(batch) for batch in rest] == [1]
    assert batcher.nbytes == 0
    for batch in (*full, *rest):
        slices, spacing_mm = batch.inputs()
        assert slices.dtype == spacing_mm.dtype == np.float32
        assert spacing_mm.shape == (len(batch), 2)
        answer = (slices[:, 0] % 4).astype(np.uint8)
        batch.store(Prediction(answer, slices[:, 0] / 1000), seconds=float(len(batch)))
    for each in jobs:
        voxels = each.study.voxels[0]
        assert (each.labels == voxels.astype(int) % 4).all()
        assert np.allclose(each.disagreement, voxels / 1000, atol=1e-3)
        assert each.missing == 0
        assert each.seconds == pytest.approx(each.slices)  # a second a slice


def test_pieces_hold_every_slice_once() -> None:
    a, b = job(3), job(5)
    pieces = Batch(((a, slice(0, 3)), (b, slice(1, 5)))).pieces(2)
    assert [(p.parts[0][0] is a, p.parts[0][1]) for p in pieces] == [
        (True, slice(0, 2)),
        (True, slice(2, 3)),
        (False, slice(1, 3)),
        (False, slice(3, 5)),
    ]


def test_an_error_is_the_jobs_and_not_its_neighbours() -> None:
    a, b = job(1), job(1)
    first, second = Batch(((a, slice(0, 1)), (b, slice(0, 1)))).by_study()
    error = ValueError("no")
    first.store(error, 0.0)
    second.store(Prediction(np.ones((1, 4, 4), np.uint8), np.zeros((1, 4, 4), np.float32)), 0.0)
    assert (a.error, b.error) == (error, None)
    assert a.missing == b.missing == 0
