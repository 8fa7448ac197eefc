"""The batches and slice sizes that an engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ctct.errors import ConfigError

#: Pixels per side of the smallest slices; the segmenter refuses smaller ones anyway.
MIN_SIZE = 32

Range = tuple[int, int, int]


@dataclass(frozen=True)
class EngineProfile:
    """The ranges that an engine is built for, each as (minimum, typical, maximum).

    TensorRT tunes the engine for the typical values.

    Attributes:
        batch: slices per call.
        size: rows and columns of a slice, in pixels.
    """

    batch: Range = (1, 16, 32)
    size: Range = (MIN_SIZE, 256, 512)

    def __post_init__(self) -> None:
        for flag, values, limit in (("--batch", self.batch, 1), ("--size", self.size, MIN_SIZE)):
            three_integers = len(values) == 3 and all(isinstance(value, int) for value in values)
            if not (three_integers and limit <= values[0] <= values[1] <= values[2]):
                raise ConfigError(
                    f"{flag} {','.join(map(str, values))}: give MIN,OPT,MAX as whole numbers with "
                    f"{limit} <= MIN <= OPT <= MAX"
                )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EngineProfile:
        """The profile whose ``dataclasses.asdict`` was stored as JSON, where tuples become lists.

        Raises:
            TypeError: a value is missing or unknown.
            ConfigError: a value makes no sense.
        """
        return cls(**{name: tuple(value) for name, value in values.items()})

    def shapes(self) -> dict[str, list[tuple[int, ...]]]:
        """Minimum, typical and maximum shape of each input of the graph."""
        pairs = list(zip(self.batch, self.size, strict=True))
        return {
            "slices": [(n, 1, size, size) for n, size in pairs],
            "spacing_mm": [(n, 2) for n, _ in pairs],
        }

    def holds(self, size: Sequence[int]) -> bool:
        """Whether slices of ``size`` (rows, columns) can be run."""
        return self.size[0] <= min(size) and max(size) <= self.size[2]

    def widened(self, size: Sequence[int]) -> EngineProfile:
        """The profile extended just enough to hold slices of ``size`` (rows, columns).

        Its bounds are multiples of 32, so that scans of similar size share an engine.
        """
        low = max(MIN_SIZE, min(self.size[0], min(size) // 32 * 32))
        high = max(self.size[2], -(-max(size) // 32) * 32)
        return replace(self, size=(low, self.size[1], high))


def batch_parts(count: int, max_batch: int) -> list[slice]:
    """Spans of at most ``max_batch`` that cover ``count`` slices."""
    return [slice(at, min(at + max_batch, count)) for at in range(0, count, max_batch)]
