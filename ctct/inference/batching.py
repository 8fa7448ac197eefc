"""Slices of many studies in batches of few sizes, cut down to what the networks see."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ctct.inference.crop import Crop
from ctct.inference.segmentation import Segmentation
from ctct.io.orientation import Orientation, find_orientation
from ctct.io.study import Study
from ctct.measurement.masks import has_picture
from ctct.runtimes.base import Prediction

#: Intensities (N, 1, H, W) and spacing (N, 2).
Inputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(eq=False)
class Job:
    """A study being segmented, in the usual orientation of its slices.

    Attributes:
        study: the study, as it is stored.
        orientation: how that is.
        slices: (T·Z, H, W) intensities in the usual orientation.
        spacing_mm: (row, column) of ``slices``.
        empty: (T·Z,) whether a slice has a single gray value, in which the networks see a heart.
        labels: (T·Z, H, W) so far.
        disagreement: (T·Z, H, W) so far.
        answered: (T·Z,) whether a slice has an answer.
        waiting: number of slices queued for an answer, or a better one.
        seconds: its share of the runtime's time.
        error: why it failed.
    """

    study: Study
    orientation: Orientation = field(init=False)
    slices: npt.NDArray[np.float32] = field(init=False)
    spacing_mm: tuple[float, float] = field(init=False)
    empty: npt.NDArray[np.bool_] = field(init=False)
    labels: npt.NDArray[np.uint8] = field(init=False)
    disagreement: npt.NDArray[np.float16] = field(init=False)
    answered: npt.NDArray[np.bool_] = field(init=False)
    waiting: int = 0
    seconds: float = 0.0
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.orientation = find_orientation(self.study.affine)
        voxels = np.ascontiguousarray(self.orientation.to_usual(self.study.voxels))
        row_mm, column_mm = self.study.spacing_mm
        self.spacing_mm = (
            (column_mm, row_mm) if self.orientation.transposed else (row_mm, column_mm)
        )
        self.slices = voxels.reshape(-1, *voxels.shape[2:])
        self.empty = ~has_picture(self.slices)
        self.labels = np.zeros(self.slices.shape, np.uint8)
        self.disagreement = np.zeros(self.slices.shape, np.float16)
        self.answered = np.zeros(len(self.slices), np.bool_)

    @property
    def nbytes(self) -> int:
        """Memory of its slices and answers, in bytes."""
        return self.slices.nbytes + self.labels.nbytes + self.disagreement.nbytes

    def segmentation(self) -> Segmentation:
        """The answers as the study is stored, (T, Z, H, W)."""
        shape = (self.study.frames, self.study.slices, *self.slices.shape[1:])
        labels, disagreement = (
            np.ascontiguousarray(self.orientation.to_stored(answers.reshape(shape)))
            for answers in (self.labels, self.disagreement)
        )
        return Segmentation(self.study, labels, disagreement, removed=(0,) * self.study.frames)


@dataclass(frozen=True)
class Part:
    """Some slices of a study, and the crop of each for the networks.

    Attributes:
        job: the study.
        crop: of the slices.
        span: the slices, among the (T·Z) of the study.
    """

    job: Job
    crop: Crop
    span: slice

    def __len__(self) -> int:
        return len(self._numbers)

    def split(self, count: int) -> tuple[Part, Part | None]:
        """The first ``count`` slices, and the others if there are any."""
        first, rest = self._numbers[:count], self._numbers[count:]
        return self._of(first), self._of(rest) if rest else None

    @property
    def _numbers(self) -> range:
        return range(*self.span.indices(len(self.job.labels)))

    def _of(self, numbers: range) -> Part:
        return replace(self, span=slice(numbers.start, numbers.stop, numbers.step))


@dataclass(frozen=True)
class Batch:
    """Slices of one size for one graph, of one or more studies."""

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def on_heart(self) -> bool:
        """Whether they are for the graph for heart crops."""
        return self.parts[0].crop.on_heart

    def inputs(self) -> Inputs:
        """Intensities (N, 1, H, W) and spacing (N, 2), as the networks take them."""
        pairs = []
        for part in self.parts:
            slices = part.crop.cut(part.job.slices[part.span, None])  # (N, 1, H, W)
            spacing_mm = np.array([part.job.spacing_mm] * len(part), np.float32)  # (N, 2)
            spacing_mm *= part.crop.scale
            pairs.append((slices, spacing_mm))
        if len(pairs) == 1:
            return np.ascontiguousarray(pairs[0][0]), pairs[0][1]
        return tuple(np.concatenate(arrays) for arrays in zip(*pairs, strict=True))  # type: ignore[return-value]

    def store(self, answer: Prediction | Exception, seconds: float) -> None:
        """Give each job its answers, or the error, and its share of the time."""
        at = 0
        for part in self.parts:
            job, count = part.job, len(part)
            job.waiting -= count
            job.answered[part.span] = True
            job.seconds += seconds * count / len(self)
            if isinstance(answer, Exception):
                job.error = job.error or answer
                continue
            rows = slice(at, at + count)
            # What an earlier answer found beyond the crop is not the heart.
            job.labels[part.span] = 0
            job.disagreement[part.span] = 0
            empty = job.empty[part.span]
            for answers, found in (
                (answer.labels, job.labels),
                (answer.disagreement, job.disagreement),
            ):
                part.crop.paste(answers[rows], found[part.span])
                found[part.span][empty] = 0
            at += count

    def by_study(self) -> list[Batch]:
        """One batch per part."""
        return [Batch((part,)) for part in self.parts]

    def split(self, max_slices: int) -> list[Batch]:
        """Batches of at most ``max_slices``, each of one study."""
        batches = []
        for part in self.parts:
            rest: Part | None = part
            while rest:
                first, rest = rest.split(max_slices)
                batches.append(Batch((first,)))
        return batches


class Batcher:
    """Collects slices of equal size, for the same graph, until a batch of them is full."""

    def __init__(self) -> None:
        self._queues: dict[tuple[tuple[int, int], bool], deque[Part]] = {}

    @property
    def nbytes(self) -> int:
        """Memory of the studies that wait, in bytes; 0 when none does."""
        return sum(part.job.nbytes for queue in self._queues.values() for part in queue)

    def add(self, *parts: Part) -> None:
        """Queue slices."""
        for part in parts:
            part.job.waiting += len(part)
            self._queues.setdefault((part.crop.size, part.crop.on_heart), deque()).append(part)

    def drop(self, job: Job) -> None:
        """Take a study's slices out of the queues."""
        for kind, queue in list(self._queues.items()):
            for part in [part for part in queue if part.job is job]:
                queue.remove(part)
                job.waiting -= len(part)
            if not queue:
                del self._queues[kind]

    def full(self, batch: int) -> Iterator[Batch]:
        """Full batches, as long as there are any."""
        for kind, queue in list(self._queues.items()):
            while sum(map(len, queue)) >= batch:
                yield self._take(kind, batch)

    def oldest(self, batch: int) -> Iterator[Batch]:
        """All slices of the kind queued first, even if they do not fill the last batch."""
        kind = next(iter(self._queues))
        while kind in self._queues:
            yield self._take(kind, batch)

    def _take(self, kind: tuple[tuple[int, int], bool], batch: int) -> Batch:
        queue, parts = self._queues[kind], []
        while queue and batch:
            part, rest = queue.popleft().split(batch)
            parts.append(part)
            batch -= len(part)
            if rest:
                queue.appendleft(rest)
        if not queue:
            del self._queues[kind]
        return Batch(tuple(parts))
