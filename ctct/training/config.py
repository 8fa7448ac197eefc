"""Everything a training run depends on, checked on construction and saved beside its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one run; ``ctct train`` has a flag of the same name for each.

    Attributes:
        data: folder in the layout of the ACDC download.
        splits: JSON file with the lists ``train_in_published_order`` and ``validation``.
        labelled: how many training patients, in the order of the list, keep their labels;
            the others are unlabelled. None: all of them.
        steps: optimiser steps.
        batch: slices a step; half of them labelled where unlabelled patients exist.
        grid_size: pixels a side of the networks' grid.
        grid_spacing_mm: its pixel spacing.
        swin: size of the Swin-UNet, "nano" or "tiny".
        pretrained: start the Swin encoder from ImageNet weights.
        cnn_rate: peak learning rate of the CNN.
        transformer_rate: peak learning rate of the Transformer.
        weight_decay: of AdamW, both networks.
        cross_weight: weight of the cross-teaching loss once ramped up (0.1 in the paper).
        ema_decay: of the moving average of the weights that is validated and saved.
        validate_every: steps between validations.
        compile: compile the Transformer with torch.compile; needs a C++ compiler.
        seed: of every random draw.
    """

    data: str
    splits: str
    labelled: int | None = None
    steps: int = 6000
    batch: int = 8
    grid_size: int = 160
    grid_spacing_mm: float = 1.5
    swin: str = "nano"
    pretrained: bool = False
    cnn_rate: float = 2e-3
    transformer_rate: float = 8e-4
    weight_decay: float = 0.02
    cross_weight: float = 0.1
    ema_decay: float = 0.998
    validate_every: int = 500
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "validate_every", "cnn_rate", "transformer_rate"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"--{name.replace('_', '-')} must be positive, got {getattr(self, name)}"
                )
        if self.batch < 2:
            raise ConfigError(f"--batch must be at least 2, got {self.batch}")
        if self.labelled is not None and self.labelled < 1:
            raise ConfigError(f"--labelled must be at least 1, got {self.labelled}")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"--ema-decay must lie in [0, 1), got {self.ema_decay}")
        for name in ("data", "splits"):
            if not Path(getattr(self, name)).exists():
                raise ConfigError(f"--{name} {getattr(self, name)}: no such file or folder")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``TrainingConfig(**d)`` gives an equal config back."""
        return dataclasses.asdict(self)
