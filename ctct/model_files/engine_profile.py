"""Which batches and slice sizes an engine takes, and how a call is made to fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ctct.errors import ConfigError

#: Fewest pixels a side; the segmenter refuses smaller slices anyway.
MIN_SIZE = 32

Range = tuple[int, int, int]


@dataclass(frozen=True)
class EngineProfile:
    """What an engine is built for. TensorRT tunes it for the middle of each range.

    Attributes:
        batch: fewest, most usual and most slices a call.
        size: the same of a slice's rows and of its columns, in pixels.
    """

    batch: Range = (1, 16, 32)
    size: Range = (MIN_SIZE, 256, 512)

    def __post_init__(self) -> None:
        for flag, values, least in (("--batch", self.batch, 1), ("--size", self.size, MIN_SIZE)):
            whole = len(values) == 3 and all(isinstance(value, int) for value in values)
            if not (whole and least <= values[0] <= values[1] <= values[2]):
                raise ConfigError(
                    f"{flag} {','.join(map(str, values))}: give MIN,OPT,MAX as whole numbers with "
                    f"{least} <= MIN <= OPT <= MAX"
                )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EngineProfile:
        """The profile that ``dataclasses.asdict`` made ``values`` of; JSON makes lists of tuples.

        Raises:
            TypeError: values are missing or there are more.
            ConfigError: they make no sense.
        """
        return cls(**{name: tuple(value) for name, value in values.items()})

    def shapes(self) -> dict[str, list[tuple[int, ...]]]:
        """Smallest, usual and largest shape of each input of the graph."""
        pairs = list(zip(self.batch, self.size, strict=True))
        return {
            "slices": [(n, 1, size, size) for n, size in pairs],
            "spacing_mm": [(n, 2) for n, _ in pairs],
        }

    def holds(self, size: Sequence[int]) -> bool:
        """Whether slices of ``size`` (rows, columns) can be run."""
        return self.size[0] <= min(size) and max(size) <= self.size[2]

    def widened(self, size: Sequence[int]) -> EngineProfile:
        """The least wider profile that holds slices of ``size`` (rows, columns).

        Its bounds are multiples of 32, so that scans of nearly one size share an engine.
        """
        low = max(MIN_SIZE, min(self.size[0], min(size) // 32 * 32))
        high = max(self.size[2], -(-max(size) // 32) * 32)
        return replace(self, size=(low, self.size[1], high))


def batch_parts(count: int, largest: int) -> list[slice]:
    """``count`` slices cut into parts of at most ``largest``."""
    return [slice(at, min(at + largest, count)) for at in range(0, count, largest)]
