from __future__ import annotations

import gc
import multiprocessing
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests_support import ThresholdRuntime

from ctct.errors import ConfigError, InputError, ModelError
from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.segmentation import check_segmentable
from ctct.inference.segmenter import ModelSpec, Segmenter
from ctct.io.study import Study
from ctct.model_files.model_file import ModelFile, default_model_path
from ctct.model_files.variant import bf16_path
from ctct.runtimes.base import Prediction, Runtime
from ctct.runtimes.choose import resolve
from ctct.runtimes.pool import RuntimePool


def make_study(voxels: np.ndarray) -> Study:
    return Study("case", voxels.astype(np.float32), (1.5, 1.5), 8.0)


def test_every_slice_of_every_frame_comes_back_in_its_place(threshold: Segmenter) -> None:
    voxels = np.zeros((2, 3, 32, 40))
    voxels[1, 2, 5:8, 6:9] = 200
    threshold.batch = 4
    seen: list[int] = []
    segmentation = threshold.segment(make_study(voxels), on_slices=seen.append)
    assert segmentation.labels.shape == segmentation.disagreement.shape == voxels.shape
    assert (segmentation.labels == np.where(voxels > 0, 3, 0)).all()
    assert threshold.runtime.batches == [4, 2]  # 6 slices, the last batch not padded
    assert seen == [4, 6]


def test_a_slice_without_a_picture_has_no_label(threshold: Segmenter) -> None:
    voxels = np.full((1, 4, 32, 32), 160.0)  # of which the runtime makes LV
    voxels[0, 1:3, 4:] = 180
    segmentation = threshold.segment(make_study(voxels), clean_up=False)
    assert [bool(labels.any()) for labels in segmentation.labels[0]] == [False, True, True, False]
    assert not segmentation.disagreement[0, [0, 3]].any()


def test_studies_share_batches_and_come_back_whole(threshold: Segmenter) -> None:
    rng = np.random.default_rng(0)
    studies = [make_study(rng.uniform(0, 200, (1, n, 32, 32))) for n in (3, 6, 1)]
    threshold.batch = 4
    found = {id(o.study): o.segmentation for o in threshold.segment_all(iter(studies))}
    assert threshold.runtime.batches == [4, 4, 2]
    for study in studies:
        segmentation = found[id(study)]
        assert segmentation is not None
        v = study.voxels
        assert (segmentation.labels == np.where(v >= 150, 3, np.where(v >= 100, 2, 0))).all()


def test_several_runtimes_work_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)  # each of two calls waits for the other

    class Paired(ThresholdRuntime):
        def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
            both.wait()
            return super().__call__(slices, spacing_mm)

    members = Paired(), Paired()
    segmenter = Segmenter(
        ModelFile(Path("t.onnx"), {}, "0" * 64), RuntimePool(members), batch=2, at_once=2
    )
    voxels = np.random.default_rng(0).uniform(0, 200, (1, 8, 32, 32))
    segmentation = segmenter.segment(make_study(voxels), clean_up=False)
    expected = np.where(voxels >= 150, 3, np.where(voxels >= 100, 2, 0))
    assert (segmentation.labels == expected).all()
    assert [m.batches for m in members] == [[2, 2], [2, 2]]


def test_a_study_that_the_runtime_fails_on_does_not_take_others_with_it(
    threshold: Segmenter,
) -> None:
    class Picky(ThresholdRuntime):
        def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
            if (slices == 77).any():
                raise ZeroDivisionError("77")
            return super().__call__(slices, spacing_mm)

    speck = np.eye(32)
    studies = [make_study(np.full((1, 2, 32, 32), value) + speck) for value in (160, 77, 170)]
    segmenter = Segmenter(threshold.model, Picky(), batch=6)
    outcomes = {id(o.study): o for o in segmenter.segment_all(studies)}
    good, bad, other = (outcomes[id(study)] for study in studies)
    assert isinstance(bad.error, ZeroDivisionError)
    assert bad.segmentation is None
    for outcome in (good, other):
        assert outcome.segmentation is not None
        assert (outcome.segmentation.labels == 3).all()


class SmallMemory(ThresholdRuntime):
    """Has no memory for more than three slices."""

    def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
        if len(slices) > 3:
            raise MemoryError
        return super().__call__(slices, spacing_mm)


def test_a_batch_too_large_for_the_memory_is_halved(
    threshold: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    segmenter = Segmenter(threshold.model, SmallMemory(), batch=8)
    study = make_study(np.random.default_rng(0).uniform(0, 200, (2, 8, 32, 32)))
    assert (segmenter.segment(study, clean_up=False).labels[study.voxels >= 150] == 3).all()
    assert segmenter.batch == 2  # 8, 4, 2
    assert "out of memory: batches of 2 slices from here on" in caplog.text


def test_a_model_error_ends_all(threshold: Segmenter) -> None:
    class Broken(ThresholdRuntime):
        def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
            raise ModelError("broken")

    segmenter = Segmenter(threshold.model, Broken())
    with pytest.raises(ModelError):
        list(segmenter.segment_all([make_study(np.full((1, 1, 32, 32), 160))]))


def test_studies_are_taken_only_as_they_are_needed(
    threshold: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctct.inference.segmenter.MAX_WAITING_BYTES", 100_000)
    taken = 0

    def endless() -> Iterator[Study]:
        nonlocal taken
        while True:
            taken += 1
            yield make_study(np.full((1, 2, 32, 32), 160))  # 14 336 bytes with its answers

    threshold.batch = 1000
    outcomes = threshold.segment_all(endless())
    assert next(outcomes).segmentation is not None
    # Seven are more than 100 000 bytes, and a second batch is got ready.
    assert taken == 14


@pytest.mark.parametrize("size", [(200, 333), (129, 90)])
def test_what_the_networks_do_not_see_changes_nothing(
    size: tuple[int, int], default_model: ModelFile
) -> None:
    rng = np.random.default_rng(1)
    study = Study("case", rng.uniform(0, 500, (1, 2, *size)).astype(np.float32), (1.4, 1.7), 8.0)
    whole_grid = replace(default_model, heart_crop=None)
    segmenter = Segmenter.load(resolve(whole_grid, "openvino", precision="fp32"))
    batched = segmenter.segment(study, clean_up=False)
    slices, spacing_mm = study.as_batch()
    native = segmenter.runtime(slices, spacing_mm)
    assert (batched.labels[0] == native.labels).mean() >= 0.9999
    assert np.abs(batched.disagreement[0] - native.disagreement).max() < 2e-3  # float16


class TestHeartCrop:
    """The grid of the heart crop sees 144 mm, 96 pixels here."""

    @pytest.fixture
    def segmenter(self, threshold: Segmenter) -> Segmenter:
        grid = {"grid": {"size": 96, "spacing_mm": 1.5}}
        model = replace(threshold.model, heart_crop=ModelFile(Path("small.onnx"), grid))
        self.small = ThresholdRuntime()
        return Segmenter(model, threshold.runtime, batch=8, load_heart_crop=lambda: self.small)

    @staticmethod
    def beating(frames: int = 7, slices: int = 2) -> np.ndarray:
        """An LV of 20 × 24 pixels, and something as bright far away."""
        voxels = np.zeros((frames, slices, 200, 180))
        voxels[:, :, 90:110, 100:124] = 160
        voxels[:, :, 3:6, 3:6] = 170
        return voxels

    def test_all_frames_of_a_cine_run_on_it(self, segmenter: Segmenter) -> None:
        voxels = self.beating()
        voxels[2, :, 112, 100:124] = 120
        found = segmenter.segment(make_study(voxels), clean_up=False).labels
        assert segmenter.runtime.batches == [1]  # which shows where the heart is
        assert self.small.batches == [8, 6]
        expected = np.select([voxels >= 150, voxels >= 100], [3, 2])
        assert (found[:, :, 50:150] == expected[:, :, 50:150]).all()
        assert not found[:, :, :40].any()  # not in the first frame either

    def test_a_frame_that_reaches_its_edge_runs_on_the_whole_grid(
        self, segmenter: Segmenter
    ) -> None:
        voxels = self.beating()
        voxels[4, 1, 90:110, 30:124] = 160  # the crop's grid begins at column 64
        found = segmenter.segment(make_study(voxels), clean_up=False).labels
        assert segmenter.runtime.batches == [1, 2]
        assert (found[4] == np.where(voxels[4] > 0, 3, 0)).all()
        assert not found[3, :, :40].any()

    def test_a_volume_is_searched_in_every_third_slice(self, segmenter: Segmenter) -> None:
        voxels = self.beating(frames=2, slices=7)
        found = segmenter.segment(make_study(voxels), clean_up=False).labels
        assert segmenter.runtime.batches == [3, 3]  # slices 0, 3 and 6 of each frame
        assert self.small.batches == [4, 4]
        assert (found[:, :, 90:110, 100:124] == 3).all()
        far = (found[:, :, 3:6, 3:6] == 3).all(axis=(0, 2, 3))
        assert far.tolist() == [True, False, False, True, False, False, True]

    def test_a_volume_that_reaches_its_edge_runs_on_the_whole_grid(
        self, segmenter: Segmenter
    ) -> None:
        voxels = self.beating(frames=1, slices=4)
        voxels[0, 1, 90:110, 30:124] = 160
        found = segmenter.segment(make_study(voxels), clean_up=False).labels
        assert segmenter.runtime.batches == [2, 4]
        assert (found == np.where(voxels > 0, 3, 0)).all()

    def test_without_a_heart_the_whole_grid(self, segmenter: Segmenter) -> None:
        for frames in (7, 2):
            voxels = self.beating(frames)
            voxels[0] = 0
            voxels[0, 0, 0, 0] = 90
            found = segmenter.segment(make_study(voxels)).labels
            assert (found[1:, :, 90:110, 100:124] == 3).all()
        assert self.small.batches == [1]  # the other slice of the second frame of two

    def test_one_slice_runs_on_the_whole_grid(self, segmenter: Segmenter) -> None:
        segmenter.segment(make_study(self.beating(frames=1, slices=1)))
        assert segmenter.runtime.batches == [1]
        assert self.small.batches == []

    def test_cines_of_a_stream_all_come_to_their_end(self, segmenter: Segmenter) -> None:
        studies = [make_study(self.beating(frames)) for frames in (7, 1, 8, 6)]
        done = list(segmenter.segment_all(iter(studies)))
        assert {id(outcome.study) for outcome in done} == {id(study) for study in studies}
        for outcome in done:
            assert outcome.segmentation is not None
            assert (outcome.segmentation.labels[:, :, 90:110, 100:124] == 3).all()
        assert sum(segmenter.runtime.batches) == 4
        assert sum(self.small.batches) == (7 + 8 + 6) * 2 + 1

    def test_a_runtime_that_fails_on_it_fails_that_study(self, segmenter: Segmenter) -> None:
        def broken(slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
            raise ZeroDivisionError

        self.small = broken
        studies = [make_study(self.beating()), make_study(self.beating(frames=1, slices=1))]
        errors = {id(o.study): o.error for o in segmenter.segment_all(iter(studies))}
        assert isinstance(errors[id(studies[0])], ZeroDivisionError)
        assert errors[id(studies[1])] is None


def test_clean_up_can_be_switched_off(threshold: Segmenter) -> None:
    voxels = np.zeros((1, 1, 32, 32))
    voxels[0, 0, 5:8, 5:8] = voxels[0, 0, 20, 20] = 200
    study = make_study(voxels)
    assert threshold.segment(study).labels[0, 0, 20, 20] == 0
    assert threshold.segment(study, clean_up=False).labels[0, 0, 20, 20] == 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v[..., :1, :1], r"1×1 pixels, expected at least 32×32"),
        (lambda v: np.full_like(v, 7), r"every voxel is 7"),
        (lambda v: v % 4, r"holds only the whole numbers 0 to 3, as a label map does"),
        (lambda v: v % 2 * 3, r"holds only the whole numbers 0 to 3"),
        (lambda v: np.where(v == v.max(), np.nan, v), r"1 of 1024 voxels are NaN or infinite"),
        (lambda v: np.where(v == v.max(), np.inf, v), r"1 of 1024 voxels are NaN or infinite"),
    ],
)
def test_images_no_network_can_make_sense_of(
    spoil: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    voxels = np.arange(1024.0).reshape(1, 1, 32, 32)
    with pytest.raises(InputError, match=message):
        check_segmentable(make_study(spoil(voxels)))


def test_small_intensities_are_no_labels() -> None:
    voxels = np.arange(1024.0).reshape(1, 1, 32, 32)
    for scaled in (voxels / 1023, voxels % 4 + 0.5, voxels % 4 - 1, voxels % 17):
        check_segmentable(make_study(scaled))


def test_batch_must_be_positive(threshold: Segmenter) -> None:
    with pytest.raises(ConfigError, match="got 0"):
        Segmenter(threshold.model, threshold.runtime, batch=0)


def test_the_bundled_model_finds_the_synthetic_heart(cine: tuple[Study, np.ndarray]) -> None:
    """The smoke test of the whole chain: mean Dice of the sample at least 0.80."""
    import ctct

    study, truth = cine
    labels = ctct.load_model(device="cpu").segment(study).labels
    dice = [dice_by_structure(own, true) for own, true in zip(labels, truth, strict=True)]
    assert np.mean([list(d.values()) for d in dice]) >= 0.80


class TestThreads:
    """Four threads that share a segmenter, five calls each."""

    @staticmethod
    def segment_all(segmenter: Segmenter, studies: list[Study]) -> list[np.ndarray]:
        with ThreadPoolExecutor(4) as threads:
            found = threads.map(lambda study: segmenter.segment(study).labels, studies * 10)
            return list(found)

    def test_each_gets_the_labels_that_it_would_get_alone(
        self, cine: tuple[Study, np.ndarray]
    ) -> None:
        voxels = cine[0].voxels
        studies = [replace(cine[0], voxels=voxels[t : t + 1, 4:6]) for t in (0, 1)]
        segmenter = ModelSpec(runtime="openvino").load()
        alone = [segmenter.segment(study).labels for study in studies]
        for i, labels in enumerate(self.segment_all(segmenter, studies)):
            np.testing.assert_array_equal(labels, alone[i % 2])

    def test_the_runtime_works_on_one_batch_at_a_time_and_waiting_is_not_work(
        self, threshold: Segmenter
    ) -> None:
        working = threading.Lock()

        class Exclusive(ThresholdRuntime):
            def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
                assert working.acquire(blocking=False)
                time.sleep(0.005)
                working.release()
                return super().__call__(slices, spacing_mm)

        segmenter = Segmenter(threshold.model, Exclusive())
        begun = time.perf_counter()
        self.segment_all(segmenter, [make_study(np.eye(32)[None, None] * 160)] * 2)
        assert 20 * 0.005 <= segmenter.busy_s <= time.perf_counter() - begun

    def test_batches_are_halved_for_all(self, threshold: Segmenter) -> None:
        segmenter = Segmenter(threshold.model, SmallMemory(), batch=8)
        studies = [
            make_study(np.random.default_rng(seed).uniform(0, 200, (1, 16, 32, 32)))
            for seed in (0, 1)
        ]
        alone = [threshold.segment(study).labels for study in studies]
        for i, labels in enumerate(self.segment_all(segmenter, studies)):
            np.testing.assert_array_equal(labels, alone[i % 2])
        assert segmenter.batch == 2  # 8, 4, 2, and never up again

    def test_the_graph_for_heart_crops_is_loaded_once(self, threshold: Segmenter) -> None:
        loaded: list[Runtime] = []

        def load_heart_crop() -> Runtime:
            time.sleep(0.05)
            loaded.append(ThresholdRuntime())
            return loaded[-1]

        grid = {"grid": {"size": 96, "spacing_mm": 1.5}}
        model = replace(threshold.model, heart_crop=ModelFile(Path("small.onnx"), grid))
        segmenter = Segmenter(model, ThresholdRuntime(), load_heart_crop=load_heart_crop)
        studies = [make_study(TestHeartCrop.beating()) for _ in range(2)]
        self.segment_all(segmenter, studies)
        assert len(loaded) == 1


class TestSpec:
    def test_what_is_loaded_is_named_with_every_auto_decided(self) -> None:
        loaded = ModelSpec(device="cpu", precision="fp32", batch="7", heart_crop=False).load()
        assert loaded.spec == ModelSpec(
            default_model_path(), "openvino", "cpu", 7, "fp32", (), heart_crop=False
        )
        assert loaded.spec.load().spec == loaded.spec
        loaded.batch = 3  # for want of memory
        assert loaded.spec.batch == 3

    def test_the_bf16_variant_is_named_itself(self) -> None:
        path = bf16_path(default_model_path())
        spec = ModelSpec(path, "openvino", heart_crop=True).load().spec
        assert (spec.model, spec.precision, spec.heart_crop) == (path, "bf16", True)
        assert spec.load().model.path == path

    def test_another_process_segments_the_same(self, cine: tuple[Study, np.ndarray]) -> None:
        study = replace(cine[0], voxels=cine[0].voxels[:1, 4:6])
        segmenter = ModelSpec(runtime="openvino").load()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            there = pool.apply(Segmenter.segment, (segmenter, study))
        here = segmenter.segment(study)
        np.testing.assert_array_equal(there.labels, here.labels)
        np.testing.assert_array_equal(there.disagreement, here.disagreement)

    def test_a_runtime_made_in_memory_cannot_be_sent(self, threshold: Segmenter) -> None:
        with pytest.raises(ModelError, match=r"made in memory .*use ctct\.load_model"):
            pickle.dumps(threshold)


class TestClose:
    def test_a_closed_model_says_how_to_get_it_back(self, threshold: Segmenter) -> None:
        runtime = weakref.ref(threshold.runtime)
        study = make_study(np.eye(32)[None, None] * 160)
        with threshold as segmenter:
            segmenter.segment(study)
        gc.collect()
        assert runtime() is None  # nothing holds its memory
        for use in (
            lambda: threshold.segment(study),
            lambda: list(threshold.segment_all([study])),
            lambda: threshold.runtime,
            lambda: pickle.dumps(threshold),
        ):
            with pytest.raises(ModelError, match=r"closed; load it again with ctct\.load_model"):
                use()
        threshold.close()  # a second time does nothing

    def test_a_call_under_way_still_ends(self, threshold: Segmenter) -> None:
        class Slow(ThresholdRuntime):
            def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
                begun.set()
                closed.wait(10)
                return super().__call__(slices, spacing_mm)

        begun, closed = threading.Event(), threading.Event()
        segmenter = Segmenter(threshold.model, Slow())
        with ThreadPoolExecutor(1) as thread:
            call = thread.submit(segmenter.segment, make_study(np.eye(32)[None, None] * 160))
            assert begun.wait(10)
            segmenter.close()
            closed.set()
            assert (call.result().labels == 3).any()
