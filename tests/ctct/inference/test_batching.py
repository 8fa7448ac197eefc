from __future__ import annotations

import numpy as np
import pytest

from ctct.inference.batching import Batch, Batcher, Job, Part
from ctct.inference.crop import Crop
from ctct.io.study import Study
from ctct.runtimes.base import Prediction


def job(slices: int, rows: int = 4, columns: int = 4) -> Job:
    voxels = np.arange(slices * rows * columns, dtype=np.float32)
    study = Study("case", voxels.reshape(1, slices, rows, columns), (1.5, 1.5), 8.0)
    return Job(study)


def part(job: Job, slices: slice | None = None) -> Part:
    """Whole slices, all of them unless told."""
    rows, columns = job.study.voxels.shape[2:]
    return Part(job, Crop((0, 0), (rows, columns)), slices or slice(0, len(job.labels)))


def test_slices_of_several_studies_share_a_batch_and_come_back_to_their_study() -> None:
    jobs = [job(3), job(2), job(4, rows=6)]
    batcher = Batcher()
    for each in jobs:
        batcher.add(part(each))
    full = list(batcher.full(4))
    assert [len(batch) for batch in full] == [4, 4]
    assert [part.span for part in full[0].parts] == [slice(0, 3, 1), slice(0, 1, 1)]
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
        assert each.waiting == 0
        assert each.answered.all()
        assert each.seconds == pytest.approx(len(each.labels))  # a second a slice


def test_every_third_slice_comes_back_in_its_place() -> None:
    a = job(8)
    batch = Batch((part(a, slice(1, 8, 3)),))
    assert len(batch) == 3
    assert [p.parts[0].span for p in batch.split(2)] == [slice(1, 7, 3), slice(7, 10, 3)]
    slices, _ = batch.inputs()
    batch.store(Prediction((slices[:, 0] % 4).astype(np.uint8), slices[:, 0]), seconds=1.0)
    expected = a.study.voxels[0].astype(int) % 4
    assert (a.labels[1::3] == expected[1::3]).all()
    assert not np.delete(a.labels, [1, 4, 7], axis=0).any()


def test_a_batch_is_split_without_losing_a_slice() -> None:
    a, b = job(3), job(5)
    pieces = Batch((part(a), part(b, slice(1, 5)))).split(2)
    assert [(p.parts[0].job is a, p.parts[0].span) for p in pieces] == [
        (True, slice(0, 2, 1)),
        (True, slice(2, 3, 1)),
        (False, slice(1, 3, 1)),
        (False, slice(3, 5, 1)),
    ]


def test_an_error_fails_one_job_and_not_its_neighbors() -> None:
    a, b = job(1), job(1)
    first, second = Batch((part(a), part(b))).by_study()
    error = ValueError("no")
    first.store(error, 0.0)
    second.store(Prediction(np.ones((1, 4, 4), np.uint8), np.zeros((1, 4, 4), np.float32)), 0.0)
    assert (a.error, b.error) == (error, None)
    assert a.answered.all()
    assert b.answered.all()


def test_graphs_do_not_share_a_batch() -> None:
    batcher, crop = Batcher(), Crop((0, 0), (4, 4))
    for on_heart in (False, True):
        batcher.add(Part(job(2), Crop(crop.start, crop.size, on_heart), slice(0, 2)))
    assert list(batcher.full(4)) == []
    batches = [*batcher.oldest(4), *batcher.oldest(4)]
    assert [(len(batch), batch.on_heart) for batch in batches] == [(2, False), (2, True)]


def test_a_heart_crop_replaces_an_earlier_answer() -> None:
    one = job(1)
    whole, heart = part(one), Part(one, Crop((1, 1), (2, 2), on_heart=True), slice(0, 1))
    for each, value in ((whole, 3), (heart, 2)):
        shape = (1, *each.crop.size)
        answer = Prediction(np.full(shape, value, np.uint8), np.full(shape, 0.5, np.float32))
        Batch((each,)).store(answer, 0.0)
    expected = [[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]]
    assert one.labels[0].tolist() == expected
    assert (one.disagreement[0] * 4).tolist() == expected
