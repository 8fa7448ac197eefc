"""Every setting of a training run: typed, checked on construction, saved with the run.

Each field stands beside its meaning, which is also the help of its option of ``ctct train``.
Nothing here imports torch before a model is read, so that the help is quick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from ctct.choices import LabelOrder, MethodName, Precision
from ctct.errors import ConfigError
from ctct.model_files.former_names import GROUPS, current_settings
from ctct.models.names import check_networks

#: Name of the file with the settings in the folder of a run.
CONFIG_FILE = "config.json"


class Settings(BaseModel):
    """A frozen group of settings.

    Raises:
        ConfigError: on construction, naming the command-line option of the first wrong value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _raise_config_error(cls, values: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        try:
            return handler(values)
        except ValidationError as error:
            raise ConfigError(_first_complaint(error)) from error


class PatientSettings(Settings):
    """Which scans, and how much of them is labelled."""

    data: Path = Field(
        description="Folder of patients (ACDC, nnU-Net or plain), or a file of ctct pack."
    )
    unlabelled: tuple[Path, ...] = Field(
        default=(), description="Further folder of scans, used without labels; repeatable."
    )
    partly_labelled: tuple[Path, ...] = Field(
        default=(),
        description="Further folder of training patients whose labels lack structures. What a "
        "label map does not show is unknown there, not background; repeatable.",
    )
    label_order: LabelOrder = Field(default="acdc", description="Numbering of the labels.")
    labelled: int | None = Field(
        default=None,
        ge=1,
        description="Training patients that keep their labels; the others are unlabelled. "
        "Without it, every patient with labels.",
    )
    labelled_list: Path | None = Field(
        default=None, description="Text file with the names of these patients, one per line."
    )
    validation: str | None = Field(
        default=None,
        coerce_numbers_to_str=True,
        description="Number of validation patients, or a text file with their names. "
        "Without it, those of the published split, or a tenth.",
    )
    split: Path | None = Field(
        default=None,
        description="JSON file with the names of the patients: "
        '{"train": [...], "validation": [...]}, with "labelled" for the training patients that '
        "keep their labels; or the split.json of a run.",
    )

    @model_validator(mode="after")
    def _check(self) -> PatientSettings:
        if self.labelled is not None and self.labelled_list is not None:
            raise ConfigError("--labelled and --labelled-list exclude each other; leave one out")
        if self.split is not None and (self.labelled_list or self.validation):
            raise ConfigError("--split replaces --labelled-list and --validation; leave them out")
        for path in (self.data, *self.unlabelled, *self.partly_labelled):
            if not path.exists():
                raise ConfigError(f"{path}: no such file or folder to train on")
        return self


class PairSettings(Settings):
    """The two networks and their grid."""

    networks: tuple[str, str] = Field(
        default=("unet", "swin_hybrid"),
        description="The first and the second network, with a comma between: unet, swin_unet, "
        "swin_hybrid or timm:ENCODER.",
    )
    swin: Literal["nano", "tiny"] = Field(default="nano", description="Size of Swin networks.")
    pretrained: bool = Field(
        default=False, description="Start swin_unet or the encoder of timm:… from ImageNet weights."
    )
    init_from: Path | None = Field(
        default=None,
        description="Run folder, model file or 'default' whose weights to start from; the networks "
        "and the grid are then those of that model.",
    )
    dropout: float = Field(
        default=0.2, ge=0, description="Of the U-Net, relative to that of the paper's code."
    )
    dropout_of: Literal["channels", "values"] = Field(
        default="channels",
        description="What dropout of the U-Net drops: whole channels, or single values as in the "
        "paper's code.",
    )
    drop_path: float = Field(
        default=0.1, ge=0, lt=1, description="Largest rate of stochastic depth of Swin networks."
    )
    grid: Literal["spacing", "resize"] = Field(
        default="spacing",
        description="How slices are laid on the grid: at its pixel spacing, or stretched to it "
        "whatever their size, as in the paper's code.",
    )
    intensities: Literal["z_score", "unit_range"] = Field(
        default="z_score",
        description="How the intensities of a slice are normalized: to zero mean and unit standard "
        "deviation, or to 0…1.",
    )
    grid_size: int = Field(
        default=160, ge=32, multiple_of=32, description="Pixels per side of the networks' grid."
    )
    grid_spacing_mm: float = Field(
        default=1.5, ge=0.2, le=5, description="Pixel spacing of that grid."
    )
    heart_crop_size: int = Field(
        default=0,
        ge=0,
        multiple_of=32,
        description="Pixels per side of a smaller grid around the heart, on which most batches are "
        "drawn and predictions made; 0 for none. Presets with their own grid have one.",
    )
    heart_extent_mm: float = Field(
        default=0.0,
        ge=0,
        description="Extent to which every heart is scaled on the smaller grid, so that small and "
        "large hearts look alike to the networks; 0 for their true size.",
    )

    @field_validator("networks", mode="before")
    @classmethod
    def _check_networks(cls, networks: Any) -> Any:
        names = networks.split(",") if isinstance(networks, str) else networks
        if isinstance(names, list | tuple):  # the field's own check refuses other types
            check_networks(names)
        return names

    @model_validator(mode="after")
    def _check_heart_crop(self) -> PairSettings:
        if self.heart_crop_size >= self.grid_size:
            raise ConfigError(
                f"--heart-crop-size must be 0, or a multiple of 32 below the grid's "
                f"{self.grid_size} pixels; got {self.heart_crop_size}"
            )
        if self.heart_extent_mm and not self.heart_crop_size:
            raise ConfigError("--heart-extent-mm needs a --heart-crop-size; set both, or none")
        # Twice the margin of ctct.measurement.heart_box, which would slow the help down.
        room_mm = self.heart_crop_size * self.grid_spacing_mm - 12
        if self.heart_extent_mm and not 20 <= self.heart_extent_mm <= room_mm:
            raise ConfigError(
                f"--heart-extent-mm must lie in 20…{room_mm:g}, which leaves 6 mm around the heart "
                f"on the grid of --heart-crop-size; got {self.heart_extent_mm:g}"
            )
        if self.heart_crop_size and self.grid == "resize":
            raise ConfigError("--heart-crop-size needs --grid spacing; leave one of the two out")
        return self


class BatchSettings(Settings):
    """The slices of one step."""

    batch: int = Field(default=8, ge=2, description="Slices per step, of all processes together.")
    labelled_batch: int | None = Field(
        default=None, ge=1, description="Labelled slices among them. Without it, half."
    )
    partly_labelled_share: float = Field(
        default=0.25,
        gt=0,
        lt=1,
        description="Share of the labelled slices that are of --partly-labelled patients, however "
        "many there are. The others teach every structure, so they are the larger part.",
    )
    augmentation: Literal["strong", "scanners", "paper"] = Field(
        default="strong",
        description="Random changes: strong ones of geometry and intensity; scanners, which also "
        "imitate other scanners; or turns, flips and crops as in the paper.",
    )
    cut_mix: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Chance that a rectangle of a slice is replaced by that of another.",
    )
    heart_crop_share: float = Field(
        default=0.8,
        ge=0,
        lt=1,
        description="Share of the batches on the smaller grid, if there is a --heart-crop-size; "
        "the others teach the networks to find the heart.",
    )

    @property
    def labelled_batch_size(self) -> int:
        """Labelled slices per step, where there are unlabelled ones too."""
        return self.batch // 2 if self.labelled_batch is None else self.labelled_batch

    @model_validator(mode="after")
    def _check(self) -> BatchSettings:
        if self.labelled_batch_size > self.batch:
            raise ConfigError(
                f"--labelled-batch must lie in 1…{self.batch}, the batch; got {self.labelled_batch}"
            )
        return self


class UnlabelledSettings(Settings):
    """What the networks learn from unlabelled slices, and when."""

    method: MethodName = Field(
        default="cross_teaching",
        description="How to learn from unlabelled slices; labelled_only leaves them out.",
    )
    unlabelled_weight: float = Field(
        default=1.0,
        ge=0,
        description="Weight of an unlabelled slice relative to a labelled one, after the ramp-up "
        "(0.1 in the paper).",
    )
    warm_up: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Fraction of the run, at its start, that learns from labelled slices alone.",
    )
    ramp: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Fraction of the run at which the ramp-up ends, which begins after the "
        "warm-up.",
    )
    teacher: Literal["ema", "student"] = Field(
        default="ema",
        description="What makes the pseudo-labels of cross teaching: the moving averages of the "
        "networks, on unchanged slices; or the networks of the moment.",
    )
    other_teacher_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the other network's teacher in the mean of the two teachers; with 0 "
        "each network teaches itself.",
    )
    confidence: float = Field(
        default=0.9, ge=0, le=1, description="Pseudo-labels less probable than this do not count."
    )
    pseudo_loss: Literal["dice", "ce", "both"] = Field(
        default="both", description="Loss against pseudo-labels."
    )

    @model_validator(mode="after")
    def _check(self) -> UnlabelledSettings:
        if self.warm_up >= self.ramp:
            raise ConfigError(
                f"--ramp must be above --warm-up, where the ramp-up begins; got {self.ramp} and "
                f"{self.warm_up}"
            )
        # Where the networks differ, the own one gives the other's class at most a half.
        share = self.other_teacher_share
        if 0.5 < share < 1 and self.confidence >= share + (1 - share) / 2:
            raise ConfigError(
                f"with --other-teacher-share {share} and --confidence {self.confidence} no pixel "
                f"on which the networks differ would count; choose a confidence below "
                f"{share + (1 - share) / 2:g}"
            )
        return self


class OptimizationSettings(Settings):
    """The optimizer, its rates and the averaging of the weights."""

    steps: int = Field(default=6000, ge=1, description="Optimizer steps.")
    optimizer: Literal["adamw", "sgd"] = Field(
        default="adamw", description="AdamW, or SGD with a momentum of 0.9."
    )
    cnn_rate: float = Field(
        default=2e-3, gt=0, description="Peak learning rate of the first network."
    )
    transformer_rate: float = Field(
        default=6e-4, gt=0, description="Peak learning rate of the second network."
    )
    weight_decay: float = Field(default=0.02, ge=0, description="Of both networks.")
    schedule: Literal["cosine", "poly"] = Field(
        default="cosine", description="Of the rates: cosine with a short warm-up, or polynomial."
    )
    clip: float = Field(
        default=5.0, ge=0, description="Largest norm of the gradient; 0 for no limit."
    )
    ema_decay: float = Field(
        default=0.998,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, which is validated and saved.",
    )


class RunSettings(Settings):
    """How the run goes about it; none of these changes the method."""

    preset: str = Field(
        default="small", description="Name of the preset that the settings started from."
    )
    keep: Literal["best", "last"] = Field(
        default="best", description="Which weights are the result: the best on validation, or last."
    )
    member_weights: Literal["validation", "equal"] = Field(
        default="validation",
        description="Weights of the two networks in their mean: by their validation Dice, or "
        "equal.",
    )
    validate_every: int = Field(default=500, ge=1, description="Steps between validations.")
    save_every: int = Field(
        default=250, ge=1, description="Steps between checkpoints to resume from."
    )
    precision: Precision = Field(
        default="auto", description="auto: bf16 on a GPU, on a CPU the faster of the two."
    )
    compile: bool | None = Field(
        default=None,
        description="Use torch.compile. Without it, on long runs on a GPU, if there is a C++ "
        "compiler.",
    )
    seed: int = Field(default=0, description="Of every random draw.")


class TrainingConfig(Settings):
    """All settings of one run; defaults are those of the preset "small", without its heart crop.

    Names are unique over the groups, so settings are also taken without them:
    ``TrainingConfig(data="ACDC", steps=100)`` and
    ``TrainingConfig(patients={"data": "ACDC"}, optimization={"steps": 100})`` are equal. So are
    names of older versions, see :mod:`ctct.model_files.former_names`.

    ``TrainingConfig.model_validate_json(config.model_dump_json())`` equals ``config``.
    """

    patients: PatientSettings = Field(title="Data")
    pair: PairSettings = Field(title="Networks")
    batches: BatchSettings = Field(title="Batches")
    unlabelled_slices: UnlabelledSettings = Field(title="Unlabelled slices")
    optimization: OptimizationSettings = Field(title="Optimization")
    run: RunSettings = Field(title="Run")

    @model_validator(mode="before")
    @classmethod
    def _group(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        grouped: dict[str, dict[str, Any]] = {group: {} for group in cls.model_fields}
        for name, value in flatten(values).items():
            grouped[GROUP_OF[name]][name] = value
        return grouped

    def to_dict(self) -> dict[str, Any]:
        """Plain values by setting, without the groups, as model files hold them."""
        groups = self.model_dump(mode="json").values()
        return {name: value for group in groups for name, value in group.items()}


_GROUPS: Mapping[str, type[Settings]] = {
    group: field.annotation
    for group, field in TrainingConfig.model_fields.items()
    if isinstance(field.annotation, type)
}
#: The group of each setting.
GROUP_OF = {name: group for group, model in _GROUPS.items() for name in model.model_fields}


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in groups, without them, or both, as one value by present name.

    Raises:
        ConfigError: a name is unknown.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if GROUPS.get(name, name) in _GROUPS and isinstance(value, Settings | Mapping):
            flat |= dict(value)
        else:
            flat[name] = value
    flat = current_settings(flat)
    if unknown := sorted(map(str, flat.keys() - GROUP_OF.keys())):
        raise ConfigError(
            f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(GROUP_OF))}"
        )
    return flat


#: What each preset changes. "paper" is the published method (docs/training.md says where it
#: differs); "best" is ours, and "small" is "best" with networks and a grid for a CPU.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "swin": "tiny",
        "networks": ("unet", "swin_unet"),
        "pretrained": True,
        "dropout": 1.0,
        "dropout_of": "values",
        "drop_path": 0.2,
        "grid_size": 224,
        "grid_spacing_mm": 1.25,
        "intensities": "unit_range",
        "batch": 16,
        "augmentation": "paper",
        "cut_mix": 0.0,
        "teacher": "student",
        "other_teacher_share": 1.0,
        "confidence": 0.0,
        "pseudo_loss": "dice",
        "unlabelled_weight": 0.1,
        "ramp": 1.0,
        "warm_up": 0.0,
        "steps": 30000,
        "optimizer": "sgd",
        "cnn_rate": 0.01,
        "transformer_rate": 0.01,
        "weight_decay": 1e-4,
        "schedule": "poly",
        "clip": 0.0,
        "ema_decay": 0.0,
        "precision": "fp32",
        "member_weights": "equal",
        "keep": "last",
        "validate_every": 1000,
    },
    "best": {
        "swin": "tiny",
        "grid_size": 224,
        "grid_spacing_mm": 1.25,
        "heart_crop_size": 128,
        "heart_extent_mm": 120.0,
        "batch": 16,
        "ramp": 0.4,
        "warm_up": 0.08,
        "steps": 30000,
        "ema_decay": 0.999,
        "validate_every": 1000,
    },
    "small": {"heart_crop_size": 96, "heart_extent_mm": 110.0},
}
#: Settings of the grids. Who changes one of them has no heart crop from the preset.
_GRIDS = frozenset({"grid", "grid_size", "grid_spacing_mm", "heart_crop_size"})


def make_config(
    preset: str, settings: Mapping[str, Any], file: str | Path | None = None
) -> TrainingConfig:
    """A preset, changed by the settings of a JSON file, changed by ``settings``.

    With ``init_from`` the networks and their grids are that model's in place of the preset's. On
    another grid, or with another heart crop, than the preset's, its heart crop does not count.

    Raises:
        ConfigError: the preset, a setting's name or its value makes no sense.
        ModelError: ``init_from`` is not a model.
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; choose one of {', '.join(PRESETS)}")
    values: dict[str, Any] = {**PRESETS[preset], "preset": preset}
    overrides = flatten(settings)
    from_file = {} if file is None else read_settings(Path(file))
    given = {**from_file, **overrides}
    if initial_model := given.get("init_from"):
        values |= _inherited(initial_model, given)
    elif _GRIDS & given.keys():
        values |= {"heart_crop_size": 0, "heart_extent_mm": 0.0}
    return TrainingConfig.model_validate({**values, **given})


def _inherited(initial_model: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a run has from the model that it starts from: the networks and the grids.

    Raises:
        ConfigError: ``given`` settings ask for other networks, or another grid of whole slices.
        ModelError: there is no such model.
    """
    from ctct.models.checkpoint import load_checkpoint
    from ctct.models.networks import FORMER_DEFAULTS, architecture

    config = {**FORMER_DEFAULTS, **load_checkpoint(initial_model)[1].config}
    fixed = architecture(config)
    for name in fixed.keys() & given.keys():
        value = given[name]
        if name == "networks":
            value = tuple(value.split(",") if isinstance(value, str) else value)
        if value != fixed[name]:
            raise ConfigError(
                f"--{name.replace('_', '-')} {given[name]}: the run starts from {initial_model}, "
                f"which has {fixed[name]}; leave it out, or --init-from"
            )
    crop_size = given.get("heart_crop_size", config["heart_crop_size"])
    extent_mm = config["heart_extent_mm"] if crop_size else 0.0
    return {**fixed, "heart_crop_size": crop_size, "heart_extent_mm": extent_mm}


def read_settings(path: Path) -> dict[str, Any]:
    """Settings of a JSON file, with or without groups, by their present names.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    content = read_json_object(path, "with settings")
    try:
        return flatten(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_json_object(path: Path, kind: str) -> dict[str, Any]:
    """The object in a JSON file; ``kind`` tells the user what object is expected.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold an object {kind}, got {type(content).__name__}")
    return content


def _first_complaint(error: ValidationError) -> str:
    """The first fault in one line, by the name of its option."""
    fault = error.errors(include_url=False)[0]
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    if fault["type"] == "missing":
        return f"{name} is missing among the settings"
    message = fault["msg"].replace("Input should", "must")
    return f"--{name.replace('_', '-')} {message}, got {fault['input']!r}"
