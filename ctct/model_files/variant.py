"""Variants of a model: other graphs of the same two networks, and the files beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError

#: The networks of a pair.
MEMBERS = ("cnn", "transformer")


@dataclass(frozen=True)
class Variant:
    """What a graph does beyond, or short of, the mean of its two networks.

    Attributes:
        members: the networks that run. With one alone there is no disagreement: it is NaN.
        tta: test-time augmentation: each network sees the slice in its eight orientations (four
            right angles, mirrored or not), and their mean counts.
        probabilities: also return the class probabilities.
    """

    members: tuple[str, ...] = MEMBERS
    tta: bool = False
    probabilities: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if self.members not in (MEMBERS, MEMBERS[:1], MEMBERS[1:]):
            raise ConfigError(
                f"--members must be cnn, transformer or cnn,transformer; got "
                f"{','.join(self.members)!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``Variant(**d)`` gives an equal variant back."""
        return {**vars(self), "members": list(self.members)}


def bf16_path(path: Path) -> Path:
    """Where the bf16 variant of an ``.onnx`` file lies, if it has one: ``X.bf16.onnx``."""
    return path.with_suffix(".bf16.onnx")


def heart_crop_path(path: Path) -> Path:
    """Where the graph for heart crops lies, if there is one: ``X.heart_crop.onnx``."""
    return path.with_suffix(f".heart_crop{path.suffix}")
