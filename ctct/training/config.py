"""Everything a training run depends on, checked on construction and saved beside its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError
from ctct.labels import ORDERS
from ctct.model_files.former_names import current_settings
from ctct.models.checkpoint import load_checkpoint
from ctct.models.networks import ARCHITECTURE, architecture, check_networks
from ctct.models.swin_unet import WIDTHS
from ctct.training.cross_teaching import LOSSES
from ctct.training.data.augment import AUGMENTATIONS
from ctct.training.schedules import SCHEDULES

#: The published method, exactly, on a grid of fixed spacing; and ours. "small" is "best" with
#: networks and a grid for a CPU.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "swin": "tiny",
        "networks": ("unet", "swin_unet"),
        "pretrained": True,
        "dropout": 1.0,
        "grid_size": 224,
        "grid_spacing_mm": 1.25,
        "steps": 30000,
        "batch": 16,
        "optimizer": "sgd",
        "cnn_rate": 0.01,
        "transformer_rate": 0.01,
        "weight_decay": 1e-4,
        "schedule": "poly",
        "clip": 0.0,
        "augmentation": "paper",
        "cut_mix": 0.0,
        "teacher": "student",
        "other_teacher_share": 1.0,
        "confidence": 0.0,
        "pseudo_loss": "dice",
        "cross_teaching_weight": 0.1,
        "ramp": 1.0,
        "warm_up": 0.0,
        "ema_decay": 0.0,
        "keep": "last",
        "validate_every": 1000,
    },
    "best": {
        "swin": "tiny",
        "grid_size": 224,
        "grid_spacing_mm": 1.25,
        "steps": 30000,
        "batch": 16,
        "ramp": 0.4,
        "warm_up": 0.08,
        "ema_decay": 0.999,
        "validate_every": 1000,
    },
    "small": {},
}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one run. The values that stand here are those of the preset "small".

    Attributes:
        data: folder in one of the layouts of :mod:`ctct.training.data.layouts`, or a file of
            ``ctct pack``.
        unlabelled: further folders of scans, used without labels.
        label_order: numbering of the labels of ``data``, a key of :data:`ctct.labels.ORDERS`.
        labelled: how many training patients keep their labels; the others are unlabelled. None:
            all that have any.
        labelled_list: text file with these patients, a name a line.
        validation: how many patients validate, or a text file with their names. None: those of
            the published split, or a tenth.
        labelled_only: learn from labelled slices alone, without cross teaching.
        preset: name of the settings that were started from.
        networks: of the first and the second network, "unet", "swin_unet",
            "swin_hybrid" or "timm:ENCODER".
        swin: size of the Swin networks, "nano" or "tiny".
        pretrained: start the Swin encoder, or timm's, from ImageNet weights.
        init_from: run folder or model file whose weights both networks start from; the networks
            and the grid are then its own.
        dropout: the U-Net's, relative to that of the paper's code.
        grid_size: pixels a side of the networks' grid.
        grid_spacing_mm: its pixel spacing.
        heart_crop_size: pixels per side of a smaller grid around the heart, of the same spacing.
            Half of the batches are drawn on it, so that cines can be run on it; 0 for none.
        steps: optimizer steps.
        batch: slices a step, of all processes together.
        labelled_batch: labelled slices among them. None: half.
        optimizer: "adamw", or "sgd" with momentum 0.9.
        cnn_rate: peak learning rate of the first network.
        transformer_rate: peak learning rate of the second network.
        weight_decay: of both.
        schedule: of the rates, "cosine" with a short warm-up, or "poly".
        clip: largest norm of the gradient; 0 for no limit.
        augmentation: "strong", or "paper" (rotation and flips).
        cut_mix: chance that a rectangle of a slice is replaced by that of another.
        teacher: who makes the pseudo-labels: "ema", the moving averages of the networks, on the
            slice without changes of intensity; or "student", the networks of the moment.
        other_teacher_share: share of the other network's teacher in the mean of the two teachers.
        confidence: pixels whose pseudo-label is less probable do not count.
        pseudo_loss: loss against pseudo-labels, "dice", "ce" or "both".
        cross_teaching_weight: weight of an unlabelled slice relative to a labelled one, once
            ramped up (0.1 in the paper).
        ramp: fraction of the run after which it is.
        warm_up: fraction of the run, at its start, that learns from labelled slices alone.
        ema_decay: of the moving average of the weights that is validated and saved.
        keep: which weights are the run's result, the "best" on validation or the "last".
        validate_every: steps between validations.
        save_every: steps between saves of all that is needed to go on.
        precision: "bf16", "fp32", or "auto": bf16 on a GPU, on a CPU the quicker of the two.
        compile: compile the networks with torch.compile. None: on a long run, where a C++
            compiler is found.
        seed: of every random draw.
    """

    data: str
    unlabelled: tuple[str, ...] = ()
    label_order: str = "acdc"
    labelled: int | None = None
    labelled_list: str | None = None
    validation: str | None = None
    labelled_only: bool = False
    preset: str = "small"
    networks: tuple[str, str] = ("unet", "swin_hybrid")
    swin: str = "nano"
    pretrained: bool = False
    init_from: str | None = None
    dropout: float = 0.2
    grid_size: int = 160
    grid_spacing_mm: float = 1.5
    heart_crop_size: int = 0
    steps: int = 6000
    batch: int = 8
    labelled_batch: int | None = None
    optimizer: str = "adamw"
    cnn_rate: float = 2e-3
    transformer_rate: float = 6e-4
    weight_decay: float = 0.02
    schedule: str = "cosine"
    clip: float = 5.0
    augmentation: str = "strong"
    cut_mix: float = 0.5
    teacher: str = "ema"
    other_teacher_share: float = 0.6
    confidence: float = 0.8
    pseudo_loss: str = "both"
    cross_teaching_weight: float = 1.0
    ramp: float = 0.5
    warm_up: float = 0.4
    ema_decay: float = 0.998
    keep: str = "best"
    validate_every: int = 500
    save_every: int = 250
    precision: str = "auto"
    compile: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "networks", tuple(self.networks))
        object.__setattr__(self, "unlabelled", tuple(map(str, self.unlabelled)))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                given = getattr(self, name)
                raise ConfigError(
                    f"{_flag(name)} must be one of {', '.join(choices)}, got {given!r}"
                )
        check_networks(self.networks)
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{_flag(name)} must be positive, got {getattr(self, name)}")
        for name in _FRACTIONS:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{_flag(name)} must lie in 0…1, got {getattr(self, name)}")
        for name in ("cross_teaching_weight", "weight_decay", "clip", "dropout"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{_flag(name)} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"--ema-decay must lie in [0, 1), got {self.ema_decay}")
        if self.heart_crop_size % 32 or not 0 <= self.heart_crop_size < self.grid_size:
            raise ConfigError(
                f"--heart-crop must be 0, or a multiple of 32 below the grid's {self.grid_size} "
                f"pixels; got {self.heart_crop_size}"
            )
        if self.batch < 2:
            raise ConfigError(f"--batch must be at least 2, got {self.batch}")
        if self.labelled is not None and self.labelled < 1:
            raise ConfigError(f"--labelled must be at least 1, got {self.labelled}")
        if not 1 <= self.labelled_batch_size <= self.batch:
            raise ConfigError(
                f"--labelled-batch must lie in 1…{self.batch}, the batch; got {self.labelled_batch}"
            )
        for path in (self.data, *self.unlabelled):
            if not Path(path).exists():
                raise ConfigError(f"{path}: no such file or folder to train on")

    @property
    def labelled_batch_size(self) -> int:
        """Labelled slices a step."""
        if self.labelled_only:
            return self.batch
        return self.batch // 2 if self.labelled_batch is None else self.labelled_batch

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``TrainingConfig(**d)`` gives an equal config back."""
        return dataclasses.asdict(self)


def make_config(
    preset: str, settings: Mapping[str, Any], file: str | Path | None = None
) -> TrainingConfig:
    """A preset, changed by the settings of a JSON file, changed by ``settings``.

    With ``init_from`` the networks and their grids are that model's in place of the preset's.

    Raises:
        ConfigError: the preset, a setting's name or its value makes no sense.
        ModelError: ``init_from`` is not a model.
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; choose one of {', '.join(PRESETS)}")
    values: dict[str, Any] = {**PRESETS[preset], "preset": preset}
    own = {} if file is None else _read_settings(Path(file))
    start = settings.get("init_from", own.get("init_from"))
    if start and not own.keys() >= set(ARCHITECTURE):
        given = load_checkpoint(start)[1].config
        values |= {**architecture(given), "heart_crop_size": given.get("heart_crop_size", 0)}
    values |= {**own, **settings}
    try:
        return TrainingConfig(**values)
    except TypeError as error:  # a text where a number belongs, or no data
        raise ConfigError(f"{file or 'settings'}: {error}") from error


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from error
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: must hold an object with settings, got {type(content).__name__}"
        )
    content = current_settings(content)
    if unknown := sorted(set(content) - names):
        raise ConfigError(
            f"{path}: unknown setting {', '.join(unknown)}; known are {', '.join(sorted(names))}"
        )
    return content


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


_CHOICES = {
    "label_order": tuple(ORDERS),
    "swin": tuple(WIDTHS),
    "optimizer": ("adamw", "sgd"),
    "schedule": tuple(SCHEDULES),
    "augmentation": tuple(AUGMENTATIONS),
    "teacher": ("ema", "student"),
    "pseudo_loss": LOSSES,
    "keep": ("best", "last"),
    "precision": ("auto", "bf16", "fp32"),
}
_POSITIVE = ("steps", "validate_every", "save_every", "cnn_rate", "transformer_rate", "ramp")
_FRACTIONS = ("cut_mix", "other_teacher_share", "confidence", "ramp", "warm_up")
