"""Slices of many studies as batches of few sizes, without work on what the networks never see.

The networks' grid is centred on the slice, and beyond a slice everything is zero. So zeros may be
added on both sides, and rows and columns beyond the grid's field of view taken away, without any
change of the answer, as long as the centre stays where it is: by an even number of them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.inference.contract import Prediction
from ctct.io.study import Study

#: Sizes are rounded up to a multiple of this, or one more, so that slices of most studies meet.
STEP = 16


def batch_size(pixels: int, spacing_mm: float, grid: Mapping[str, Any] | None) -> int:
    """Rows, or columns, that a slice of ``pixels`` has in a batch.

    Args:
        pixels: rows, or columns, as acquired.
        spacing_mm: distance between them.
        grid: ``size`` and ``spacing_mm`` of the networks' grid; None where they are not known, and
            nothing is changed.
    """
    if grid is None:
        return pixels
    size, grid_mm = int(grid["size"]), float(grid["spacing_mm"])
    # The outermost points of the grid lie (size - 1) / 2 steps from the centre. They are made from
    # pixels up to one pixel further out, and pixels up to one step further out are made from them.
    seen = math.ceil((size - 1) * grid_mm / spacing_mm + 2 * max(grid_mm / spacing_mm, 1.0))
    wanted = min(seen, pixels)
    odd = pixels % 2
    return math.ceil((wanted - odd) / STEP) * STEP + odd


def common(source: int, target: int) -> tuple[slice, slice]:
    """The rows (or columns) that two centred ranges share, in the one and in the other."""
    shared = min(source, target)
    return tuple(slice((n - shared) // 2, (n + shared) // 2) for n in (source, target))  # type: ignore[return-value]


def recentred(
    array: npt.NDArray[Any], size: tuple[int, int], out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """``array`` (…, H, W) cut or filled with zeros to (…, *size) on all four sides alike.

    Args:
        array: of any leading dimensions.
        size: rows and columns wanted, odd where those of ``array`` are odd.
        out: where to put it; what the array does not reach is left as it is.
    """
    if out is None:
        if array.shape[-2:] == size:
            return array
        out = np.zeros((*array.shape[:-2], *size), array.dtype)
    windows = [common(n, m) for n, m in zip(array.shape[-2:], size, strict=True)]
    out[..., windows[0][1], windows[1][1]] = array[..., windows[0][0], windows[1][0]]
    return out


#: Intensities (N, 1, H, W) and spacing (N, 2).
Inputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(eq=False)
class Job:
    """A study at work.

    Attributes:
        study: the study.
        size: rows and columns of its slices in a batch.
        labels: (T·Z, H, W) found so far.
        disagreement: (T·Z, H, W) found so far.
        missing: slices without an answer.
        seconds: its share of the runtime's time.
        error: why it cannot be finished.
    """

    study: Study
    size: tuple[int, int]
    labels: npt.NDArray[np.uint8] = field(init=False)
    disagreement: npt.NDArray[np.float16] = field(init=False)
    missing: int = field(init=False)
    seconds: float = 0.0
    error: Exception | None = None

    def __post_init__(self) -> None:
        t, z, h, w = self.study.voxels.shape
        self.missing = t * z
        self.labels = np.zeros((t * z, h, w), np.uint8)
        self.disagreement = np.zeros((t * z, h, w), np.float16)

    @property
    def slices(self) -> int:
        """Number of all its slices."""
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """Memory of its voxels and answers."""
        return self.study.voxels.nbytes + self.labels.nbytes + self.disagreement.nbytes


@dataclass(frozen=True)
class Batch:
    """Slices of one size, from one or more studies.

    Attributes:
        parts: jobs, and which of their slices.
    """

    parts: tuple[tuple[Job, slice], ...]

    def __len__(self) -> int:
        return sum(part.stop - part.start for _, part in self.parts)

    def inputs(self) -> Inputs:
        """Intensities (N, 1, H, W) and spacing (N, 2), as the networks take them."""
        pairs = []
        for job, part in self.parts:
            slices, spacing_mm = job.study.as_batch()
            pairs.append((recentred(slices[part], job.size), spacing_mm[part]))
        if len(pairs) == 1:
            return np.ascontiguousarray(pairs[0][0]), pairs[0][1]
        return tuple(np.concatenate(arrays) for arrays in zip(*pairs, strict=True))  # type: ignore[return-value]

    def store(self, answer: Prediction | Exception, seconds: float) -> None:
        """Give each job its answers or the error, and its share of the time they took."""
        at = 0
        for job, part in self.parts:
            count = part.stop - part.start
            job.missing -= count
            job.seconds += seconds * count / len(self)
            if isinstance(answer, Exception):
                job.error = job.error or answer
                continue
            own, native = slice(at, at + count), job.labels.shape[1:]
            recentred(answer.labels[own], native, job.labels[part])
            recentred(answer.disagreement[own], native, job.disagreement[part])
            at += count

    def by_study(self) -> list[Batch]:
        """A batch of each study's slices."""
        return [Batch((part,)) for part in self.parts]

    def pieces(self, most: int) -> list[Batch]:
        """Batches of ``most`` slices or fewer, each of one study."""
        return [
            Batch(((job, slice(at, min(at + most, part.stop))),))
            for job, part in self.parts
            for at in range(part.start, part.stop, most)
        ]


class Batcher:
    """Collects slices of equal size until a batch of them is full."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, int], deque[tuple[Job, slice]]] = {}

    @property
    def nbytes(self) -> int:
        """Memory of all studies that wait."""
        return sum(job.nbytes for queue in self._waiting.values() for job, _ in queue)

    def add(self, job: Job) -> None:
        """Queue all slices of ``job``."""
        self._waiting.setdefault(job.size, deque()).append((job, slice(0, job.slices)))

    def full(self, batch: int) -> Iterator[Batch]:
        """Whole batches, as long as there are any."""
        for size, queue in list(self._waiting.items()):
            while sum(part.stop - part.start for _, part in queue) >= batch:
                yield self._take(size, batch)

    def oldest(self, batch: int) -> Iterator[Batch]:
        """All slices of the size that came first, though they may not fill the last batch."""
        size = next(iter(self._waiting))
        while size in self._waiting:
            yield self._take(size, batch)

    def _take(self, size: tuple[int, int], batch: int) -> Batch:
        queue, parts = self._waiting[size], []
        while queue and batch:
            job, part = queue.popleft()
            taken = slice(part.start, min(part.stop, part.start + batch))
            parts.append((job, taken))
            batch -= taken.stop - taken.start
            if taken.stop < part.stop:
                queue.appendleft((job, slice(taken.stop, part.stop)))
        if not queue:
            del self._waiting[size]
        return Batch(tuple(parts))
