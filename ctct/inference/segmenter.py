"""A loaded model: studies in, label maps out."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError, CtctError, InputError, ModelError
from ctct.inference.batch_size import best_batch, parse_batch
from ctct.inference.batching import Batch, Batcher, Inputs, Job, Part
from ctct.inference.segmentation import Outcome, Segmentation, check_segmentable, clean_components
from ctct.inference.stages import stages
from ctct.io.study import Study
from ctct.model_files.model_file import DEFAULT, ModelFile
from ctct.runtimes.base import Prediction, Runtime
from ctct.runtimes.choose import Plan, load_runtime, resolve

log = logging.getLogger(__name__)

#: A batch, the answer of the runtime or why it failed, and the seconds it took.
Answer = tuple[Batch, Prediction | Exception, float]

#: Voxels and answers of studies that wait for a full batch; beyond it a batch runs as it is.
MAX_WAITING_BYTES = 2**27


@dataclass(frozen=True)
class ModelSpec:
    """All that it takes to load a model, on this machine or another; small, and picklable.

    >>> ModelSpec(device="cpu").load()  # doctest: +SKIP

    Attributes:
        model: "default" (bundled), an ``.onnx``, ``.xml`` or ``.engine`` file, or a run folder.
        runtime: "auto" or a key of :data:`ctct.runtimes.machine.PACKAGES`.
        device: "auto", "cpu" or "cuda".
        batch: slices per call, or "auto"; see :func:`ctct.inference.batch_size.best_batch`.
        precision: "auto", "fp32" or "bf16"; see :func:`ctct.runtimes.choose.resolve`.
        gpus: numbers of the GPUs that share the batches; one that occurs twice runs two at once.
            Empty: the first, where a GPU is used.
        heart_crop: whether to use the graph for heart crops, where the model has one.
    """

    model: str | Path = DEFAULT
    runtime: str = "auto"
    device: str = "auto"
    batch: int | str = 16
    precision: str = "auto"
    gpus: tuple[int, ...] = ()
    heart_crop: bool = True

    def load(self) -> Segmenter:
        """Load the model.

        Raises:
            ConfigError: an attribute makes no sense.
            ModelError: the file is missing or is not one of ctct's.
            RuntimeUnavailableError: this machine lacks the runtime or device.
        """
        return Segmenter.load(self.plan(), self.batch)

    def plan(self) -> Plan:
        """What runs on this machine; raises the same errors."""
        return resolve(
            self.model, self.runtime, self.device, self.precision, self.gpus, self.heart_crop
        )


class Segmenter:
    """Runs the fused graph of ``model`` over studies.

    Threads may share it: their batches wait for each other. It can be pickled if it was loaded from
    a file: the other process loads the same file again. Use it in a ``with`` block, or call
    :meth:`close`, to free its memory before it is garbage-collected.

    Args:
        model: the file the runtime was loaded from.
        runtime: runs the graph.
        batch: slices per call of the runtime.
        load_heart_crop: loads the runtime of ``model.heart_crop`` when it is first needed; None:
            everything runs on the whole grid.
        at_once: calls of the runtime side by side, for a pool of several.
        spec: how it was loaded; None for a runtime that is not loaded from a file.

    Attributes:
        batch: slices per call; halved when the memory is too small for it.
        busy_s: seconds that the runtime has worked so far, averaged over those side by side.
    """

    def __init__(
        self,
        model: ModelFile,
        runtime: Runtime,
        batch: int = 16,
        load_heart_crop: Callable[[], Runtime] | None = None,
        at_once: int = 1,
        spec: ModelSpec | None = None,
    ) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, got {batch}")
        self.model = model
        self.batch = batch
        self.busy_s = 0.0
        self._runtime: Runtime | None = runtime
        self._heart_crop_runtime: Runtime | None = None
        self._load_heart_crop = load_heart_crop
        self._at_once = at_once
        self._spec = spec
        self._lock = threading.Lock()  # of what calls change: batch, busy_s and the runtimes
        self._free = threading.Semaphore(at_once)

    @classmethod
    def load(cls, plan: Plan, batch: int | str = 16) -> Segmenter:
        """Load the model of ``plan`` into its runtime.

        Args:
            plan: from :func:`ctct.runtimes.choose.resolve`.
            batch: slices per call, or "auto".
        """
        size, small = parse_batch(batch), plan.for_heart_crop
        runtime = load_runtime(plan)
        size = size or best_batch(plan.model, runtime)
        spec = ModelSpec(
            plan.model.path,
            plan.runtime,
            plan.device,
            size,
            "bf16" if plan.model.description.get("precision") == "bf16" else "fp32",
            plan.gpus,
            small is not None,
        )
        load_small = (lambda: load_runtime(small, announce=False)) if small else None
        return cls(plan.model, runtime, size, load_small, max(len(plan.gpus), 1), spec)

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._runtime is None

    @property
    def runtime(self) -> Runtime:
        """What runs the graph.

        Raises:
            ModelError: the segmenter is closed.
        """
        if self._runtime is None:
            raise ModelError(f"{self.model.path}: closed; load it again with ctct.load_model")
        return self._runtime

    @property
    def spec(self) -> ModelSpec:
        """How to load the same again: the file that runs, with every "auto" decided.

        Raises:
            ModelError: it was not loaded from a file.
        """
        if self._spec is None:
            raise ModelError(
                f"{self.model.path}: its runtime was made in memory and cannot be loaded again; "
                "use ctct.load_model"
            )
        return replace(self._spec, batch=self.batch)

    def __reduce__(self) -> tuple[Callable[[ModelSpec], Segmenter], tuple[ModelSpec]]:
        _ = self.runtime  # a closed one is not sent
        return ModelSpec.load, (self.spec,)

    def close(self) -> None:
        """Free the runtime's memory. Calls under way still end; later ones raise ModelError."""
        with self._lock:
            self._runtime = self._heart_crop_runtime = self._load_heart_crop = None

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def segment(
        self,
        study: Study,
        clean_up: bool = True,
        on_slices: Callable[[int], object] = lambda done: None,
    ) -> Segmentation:
        """Label every slice of every frame of ``study``.

        Args:
            study: any number of frames, slices, rows and columns.
            clean_up: keep only what belongs to the heart, without RV above its base, and fill the
                ring of myocardium.
            on_slices: told the number of slices finished so far.

        Raises:
            InputError: the image cannot be segmented: NaN, constant, or too small.
            ModelError: the segmenter is closed.
        """
        _ = self.runtime  # raises at once if it is closed
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
            on_slices: told how many slices of a study are finished; an InputError that it raises
                is why that study fails.

        Yields:
            Each study when it is done, in no certain order. One that the runtime fails on does not
            stop the others.

        Raises:
            CtctError: other than InputError: the model is at fault and fails every study.
        """
        batcher = Batcher()
        plans: dict[Job, Iterator[list[Part]]] = {}
        source = iter(studies)
        while True:
            for batch in self._run_all(self._batches(source, batcher, plans)):
                for job in {part.job: None for part in batch.parts}:
                    try:
                        on_slices(job.study, int(job.answered.sum()))
                    except InputError as error:
                        job.error = job.error or error
                        batcher.drop(job)
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
            plans[job] = stages(job, self.model.description.get("grid"), self._heart_crop_grid)
            batcher.add(*next(plans[job]))
            yield from batcher.full(self.batch)
            while batcher.nbytes > MAX_WAITING_BYTES:
                yield from batcher.oldest(self.batch)
        while batcher.nbytes:
            yield from batcher.oldest(self.batch)

    @property
    def _heart_crop_grid(self) -> dict[str, Any] | None:
        """The grid of the graph for heart crops; None where everything runs on the whole grid."""
        small = self.model.heart_crop if self._load_heart_crop else None
        return small.description["grid"] if small else None

    def _run_all(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Each batch when its answers are stored; the one after it is prepared meanwhile."""
        with ThreadPoolExecutor(self._at_once, "runtime") as workers:
            running: deque[tuple[Batch, Future[list[Answer]]]] = deque()

            def finish_first() -> Batch:
                batch, future = running.popleft()
                for part, answer, seconds in future.result():
                    part.store(answer, seconds)
                return batch

            for batch in batches:
                running.append((batch, workers.submit(self._answer, batch, batch.inputs())))
                if len(running) > self._at_once:
                    yield finish_first()
            while running:
                yield finish_first()

    def _answer(self, batch: Batch, inputs: Inputs) -> list[Answer]:
        """The runtime's answer to a batch, in parts where it does not take it as a whole."""
        try:
            return [(batch, *self._call(batch.on_heart, inputs))]
        except MemoryError as error:
            if len(batch) == 1:
                return [(batch, error, 0.0)]
            half = max(len(batch) // 2, 1)
            with self._lock:
                self.batch = min(self.batch, half)
            log.warning("out of memory: batches of %d slices from here on", half)
            parts = batch.split(half)
        except Exception as error:
            if isinstance(error, CtctError) and not isinstance(error, InputError):
                raise
            if len(batch.parts) == 1:
                return [(batch, error, 0.0)]
            parts = batch.by_study()  # to find out which is to blame
        return [answer for part in parts for answer in self._answer(part, part.inputs())]

    def _call(self, on_heart: bool, inputs: Inputs) -> tuple[Prediction, float]:
        """The runtime's answer and the seconds it worked, without those it waited for others."""
        runtime = self._runtime_for_heart_crops() if on_heart else self.runtime
        with self._free:
            begun = time.perf_counter()
            prediction = runtime(*inputs)
            seconds = time.perf_counter() - begun
        with self._lock:
            self.busy_s += seconds / self._at_once
        return prediction, seconds

    def _runtime_for_heart_crops(self) -> Runtime:
        with self._lock:
            if self._heart_crop_runtime is None and self._load_heart_crop is not None:
                self._heart_crop_runtime = self._load_heart_crop()
            return self._heart_crop_runtime or self.runtime


def _outcome(job: Job) -> Outcome:
    segmentation = None if job.error else job.segmentation()
    return Outcome(job.study, segmentation, job.error, job.seconds)
