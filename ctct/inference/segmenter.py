"""A loaded model: studies in, label maps out."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError, CtctError, InputError
from ctct.inference import crop as crops
from ctct.inference.batch_size import as_batch, best_batch
from ctct.inference.batching import Batch, Batcher, Inputs, Job, Part
from ctct.inference.segmentation import Outcome, Segmentation, check_segmentable, clean_components
from ctct.io.study import Study
from ctct.model_files.model_file import DEFAULT, ModelFile, find_model
from ctct.runtimes import choose as runtimes
from ctct.runtimes.base import Prediction, Runtime
from ctct.runtimes.precision import in_precision

log = logging.getLogger(__name__)

#: Slices, what the runtime said of them or why it failed, and the seconds it took.
Answer = tuple[Batch, Prediction | Exception, float]


#: Fewest frames that make a cine, all of which may run on a window around the heart.
CINE_FRAMES = 6

#: Every how manieth slice of a volume is searched for the heart, from its first on.
SEARCH_STEP = 3

#: Voxels and answers of studies that wait for a batch to be full; beyond it one is run as it is.
MAX_WAITING_BYTES = 2**27


class Segmenter:
    """Runs the fused graph of ``model`` over studies.

    Args:
        model: the file the runtime was loaded from.
        runtime: runs the graph.
        batch: slices a call of the runtime.
        load_heart_crop: loads the runtime of ``model.heart_crop`` when it is first needed; None:
            everything runs on the whole grid.
        at_once: calls of the runtime side by side, of one made of several.

    Attributes:
        busy_s: seconds that the runtime has worked so far, in the mean of those side by side.
    """

    def __init__(
        self,
        model: ModelFile,
        runtime: Runtime,
        batch: int = 16,
        load_heart_crop: Callable[[], Runtime] | None = None,
        at_once: int = 1,
    ) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, got {batch}")
        self.model = model
        self.runtime = runtime
        self.batch = batch
        self.busy_s = 0.0
        self._heart_crop_grid: dict[str, Any] = (
            model.heart_crop.description["grid"] if model.heart_crop else {}
        )
        self._load_heart_crop = load_heart_crop
        self._at_once = at_once

    @classmethod
    def load(
        cls,
        model: ModelFile,
        runtime: str = "auto",
        device: str = "auto",
        batch: int | str = 16,
        gpus: Sequence[int] = (),
    ) -> Segmenter:
        """Load ``model`` into a runtime; see :func:`load_model`."""
        slices = as_batch(batch)
        loaded = runtimes.load(model, runtime, device, gpus)
        slices = slices or best_batch(model, loaded)
        small = model.heart_crop

        def load_heart_crop() -> Runtime:
            assert small is not None
            return runtimes.load(small, loaded.name, device, gpus, announce=False)

        return cls(model, loaded, slices, load_heart_crop if small else None, max(len(gpus), 1))

    def segment(
        self,
        study: Study,
        clean_up: bool = True,
        on_slices: Callable[[int], object] = lambda done: None,
    ) -> Segmentation:
        """Label every slice of every frame of ``study``.

        Args:
            study: any number of frames, slices, rows and columns.
            clean_up: keep only the largest 3-D component of each structure.
            on_slices: told the number of slices finished so far.

        Raises:
            InputError: the image cannot be segmented: NaN, constant, or too small.
        """
        check_segmentable(study)
        (outcome,) = self.segment_all([study], lambda study, done: on_slices(done))
        if outcome.segmentation is None:
            assert outcome.error is not None
            raise outcome.error
        return clean_components(outcome.segmentation) if clean_up else outcome.segmentation

    def segment_all(
        self,
        studies: Iterable[Study],
        on_slices: Callable[[Study, int], object] = lambda study, done: None,
    ) -> Iterator[Outcome]:
        """Label many studies, whose slices share batches; without clean-up.

        The next batch is prepared while the runtime works. A study is taken from ``studies`` when a
        batch needs it; those that wait for a full batch take at most :data:`MAX_WAITING_BYTES`.

        Args:
            studies: that pass :func:`check_segmentable`; may be an endless generator.
            on_slices: told how many slices of a study are finished.

        Yields:
            Each study when it is done, in no certain order. One that the runtime fails on does not
            keep the others from theirs.

        Raises:
            CtctError: other than InputError, as the model's; no other study would fare better.
        """
        batcher = Batcher()
        plans: dict[Job, Iterator[list[Part]]] = {}
        source = iter(studies)
        while True:
            for batch in self._run_all(self._batches(source, batcher, plans)):
                for job in {part.job: None for part in batch.parts}:
                    on_slices(job.study, int(job.answered.sum()))
                    if job.waiting:
                        continue
                    more = None if job.error else next(plans[job], None)
                    if more:
                        batcher.add(*more)
                    else:
                        del plans[job]
                        yield _outcome(job)
            if not batcher.nbytes:  # the last batch may have called for more
                return

    def _batches(
        self, studies: Iterator[Study], batcher: Batcher, plans: dict[Job, Iterator[list[Part]]]
    ) -> Iterator[Batch]:
        for study in studies:
            job = Job(study)
            plans[job] = self._plan(job)
            batcher.add(*next(plans[job]))
            yield from batcher.full(self.batch)
            while batcher.nbytes > MAX_WAITING_BYTES:
                yield from batcher.oldest(self.batch)
        while batcher.nbytes:
            yield from batcher.oldest(self.batch)

    def _plan(self, job: Job) -> Iterator[list[Part]]:
        """What is to be done of a study; the next parts when those before have their answers."""
        study, grid = job.study, self._heart_crop_grid
        size, spacing_mm = study.voxels.shape[2:], study.spacing_mm
        whole = crops.visible_crop(size, spacing_mm, self.model.description.get("grid"))
        z, every = study.slices, slice(0, study.frames * study.slices)
        if self._load_heart_crop is None:
            yield [Part(job, whole, every)]
            return
        cine = study.frames >= CINE_FRAMES
        volumes = [slice(first, first + z) for first in range(0, every.stop, z)]
        for volume in volumes[:1] if cine else volumes:
            thirds = [
                slice(volume.start + offset, volume.stop, SEARCH_STEP)
                for offset in range(min(SEARCH_STEP, z))
            ]
            yield [Part(job, whole, thirds[0])]
            crop = crops.heart_crop(job.labels[thirds[0]], spacing_mm, grid) or whole
            # A cine's frames are all alike, or this one's volume would stand apart in the curve.
            rest = [every] if cine else thirds[1:]
            if rest:
                yield [Part(job, crop, slices) for slices in rest]
            for one in volumes if cine else [volume]:
                if (
                    crop.on_heart
                    and crops.touches_edge(job.labels[one], crop, spacing_mm, grid).any()
                ):
                    yield [Part(job, whole, one)]

    def _run_all(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Each batch when its answers are stored; the one after it is prepared meanwhile."""
        with ThreadPoolExecutor(self._at_once, "runtime") as workers:
            flying: deque[tuple[Batch, Future[list[Answer]]]] = deque()

            def land() -> Batch:
                batch, future = flying.popleft()
                for part, answer, seconds in future.result():
                    part.store(answer, seconds)
                    self.busy_s += seconds / self._at_once
                return batch

            for batch in batches:
                flying.append((batch, workers.submit(self._answer, batch, batch.inputs())))
                if len(flying) > self._at_once:
                    yield land()
            while flying:
                yield land()

    @cached_property
    def _heart_crop_runtime(self) -> Runtime:
        assert self._load_heart_crop is not None
        return self._load_heart_crop()

    def _answer(self, batch: Batch, inputs: Inputs) -> list[Answer]:
        """What the runtime says of a batch, in parts where it does not take it as a whole."""
        runtime = self._heart_crop_runtime if batch.on_heart else self.runtime
        begun = time.perf_counter()
        try:
            prediction = runtime(*inputs)
        except MemoryError as error:
            if len(batch) == 1:
                return [(batch, error, 0.0)]
            self.batch = max(len(batch) // 2, 1)
            log.warning("out of memory: batches of %d slices from here on", self.batch)
            parts = batch.pieces(self.batch)
        except Exception as error:
            if isinstance(error, CtctError) and not isinstance(error, InputError):
                raise
            if len(batch.parts) == 1:
                return [(batch, error, 0.0)]
            parts = batch.by_study()  # to find out which is to blame
        else:
            return [(batch, prediction, time.perf_counter() - begun)]
        return [answer for part in parts for answer in self._answer(part, part.inputs())]


def _outcome(job: Job) -> Outcome:
    if job.error is not None:
        return Outcome(job.study, None, job.error, job.seconds)
    shape = job.study.voxels.shape
    segmentation = Segmentation(
        job.study,
        job.labels.reshape(shape),
        job.disagreement.reshape(shape),
        removed=(0,) * job.study.frames,
    )
    return Outcome(job.study, segmentation, None, job.seconds)


def load_model(
    model: str | Path = DEFAULT,
    runtime: str = "auto",
    device: str = "auto",
    batch: int | str = 16,
    precision: str = "auto",
    gpus: Sequence[int] = (),
) -> Segmenter:
    """Load a model into a runtime.

    Args:
        model: "default" (bundled), an ``.onnx`` or ``.engine`` file, or a checkpoint of a training
            run.
        runtime: "auto" or a key of ``ctct.runtimes.choose.PACKAGES``.
        device: "auto", "cpu" or "cuda".
        batch: slices a call, or "auto": see :func:`ctct.inference.batch_size.best_batch`.
        precision: "auto", "fp32" or "bf16"; see :func:`ctct.runtimes.precision.in_precision`.
        gpus: numbers of the GPUs that share the batches; one twice has two at once. Empty: the
            first, where a GPU is used.

    Raises:
        ModelError: the file is missing or is not one of ctct's.
        RuntimeUnavailableError: the runtime or device is not on this machine.
    """
    file = in_precision(find_model(model), precision, runtime, device)
    return Segmenter.load(file, runtime, device, batch, gpus)
