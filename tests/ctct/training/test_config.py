from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from ctct.errors import ConfigError
from ctct.labels import ORDERS
from ctct.measurement.heart_box import crop_scale
from ctct.model_files.model_file import default_model_path
from ctct.models.checkpoint import ModelDescription, save_checkpoint
from ctct.models.networks import build_graph
from ctct.training.config import (
    GROUP_OF,
    PRESETS,
    BatchSettings,
    OptimizationSettings,
    PairSettings,
    PatientSettings,
    Settings,
    TrainingConfig,
    make_config,
)


def choices(group: type[Settings], field: str) -> tuple[str, ...]:
    return get_args(group.model_fields[field].annotation)


class TestRoundTrip:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_as_config_json(self, preset: str) -> None:
        config = make_config(preset, {"data": "."})
        assert config.run.preset == preset
        assert TrainingConfig.model_validate_json(config.model_dump_json()) == config

    @pytest.mark.parametrize("preset", PRESETS)
    def test_without_groups_as_in_a_model_file(self, preset: str) -> None:
        config = make_config(preset, {"data": ".", "unlabelled": ["."], "validation": 3})
        values = json.loads(json.dumps(config.to_dict()))
        assert values.keys() == GROUP_OF.keys()
        assert TrainingConfig(**values) == config

    def test_the_former_names(self) -> None:
        former = {"optimiser": "sgd", "window": 96, "other_share": 1.0, "cross_weight": 0.1}
        config = TrainingConfig(data=".", **former)
        assert (config.optimization.optimizer, config.pair.heart_crop_size) == ("sgd", 96)
        teaching = config.unlabelled_slices
        assert (teaching.other_teacher_share, teaching.unlabelled_weight) == (1.0, 0.1)

    def test_it_cannot_be_changed(self) -> None:
        config = make_config("small", {"data": "."})
        with pytest.raises(ValidationError, match="frozen"):
            config.optimization.steps = 3


def test_names_are_unique_over_the_groups() -> None:
    groups = [field.annotation for field in TrainingConfig.model_fields.values()]
    assert sum(len(group.model_fields) for group in groups) == len(GROUP_OF)
    assert not GROUP_OF.keys() & TrainingConfig.model_fields.keys()


def test_every_setting_is_described() -> None:
    for group in TrainingConfig.model_fields.values():
        assert all(field.description for field in group.annotation.model_fields.values())


def test_choices_are_those_of_the_code() -> None:
    from ctct.models.swin_unet import WIDTHS
    from ctct.training.data.augment import AUGMENTATIONS
    from ctct.training.schedules import SCHEDULES

    assert choices(PatientSettings, "label_order") == tuple(ORDERS)
    assert choices(PairSettings, "swin") == tuple(WIDTHS)
    assert set(choices(BatchSettings, "augmentation")) == set(AUGMENTATIONS)
    assert choices(OptimizationSettings, "schedule") == tuple(SCHEDULES)


def test_settings_are_read_without_torch() -> None:
    program = "import sys, ctct.training.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_published_method() -> None:
    # Luo et al., MIDL 2022, section 3.
    paper = make_config("paper", {"data": "."})
    assert (paper.batches.batch, paper.batches.labelled_batch_size) == (16, 8)
    assert (paper.optimization.steps, paper.pair.grid_size) == (30000, 224)
    optimization, teaching = paper.optimization, paper.unlabelled_slices
    assert (optimization.optimizer, optimization.schedule) == ("sgd", "poly")
    assert optimization.weight_decay == 1e-4
    assert optimization.cnn_rate == optimization.transformer_rate == 0.01
    assert (teaching.unlabelled_weight, teaching.ramp, teaching.warm_up) == (0.1, 1.0, 0.0)
    assert (teaching.teacher, teaching.other_teacher_share) == ("student", 1.0)
    assert (teaching.pseudo_loss, teaching.confidence) == ("dice", 0.0)
    assert (paper.batches.cut_mix, paper.run.keep, optimization.ema_decay) == (0.0, "last", 0.0)
    assert (paper.run.precision, paper.run.member_weights) == ("fp32", "equal")
    pair = paper.pair
    assert (pair.dropout_of, pair.drop_path, pair.intensities) == ("values", 0.2, "unit_range")


@pytest.mark.parametrize(
    "content",
    [
        {"steps": 7, "seed": 3, "networks": ["unet", "unet"]},
        {"optimization": {"steps": 7}, "run": {"seed": 3}, "pair": {"networks": ["unet", "unet"]}},
        {"optimization": {"steps": 7}, "seed": 3, "networks": "unet,unet"},
    ],
)
def test_flags_change_the_file_and_the_file_the_preset(
    tmp_path: Path, content: dict[str, object]
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(content))
    config = make_config("best", {"data": ".", "seed": 4}, file)
    assert (config.batches.batch, config.optimization.steps, config.run.seed) == (16, 7, 4)
    assert config.pair.networks == ("unet", "unet")


def test_a_model_to_start_from_brings_its_networks_and_grid() -> None:
    settings = {"data": ".", "init_from": str(default_model_path())}
    config = make_config("best", settings)
    assert config.pair.networks == ("unet", "swin_hybrid")
    assert (config.pair.swin, config.pair.grid_size) == ("nano", 160)
    assert (config.pair.grid_spacing_mm, config.pair.heart_crop_size) == (1.5, 96)
    assert config.batches.batch == 16  # the preset's, because it is no matter of the networks
    without_crop = make_config("best", {**settings, "heart_crop_size": 0})
    assert without_crop.pair.heart_crop_size == 0
    same = make_config("best", {**settings, "networks": "unet,swin_hybrid", "grid_size": 160})
    assert same == config


@pytest.mark.parametrize(
    "setting",
    [
        {"networks": "unet,unet"},
        {"grid": "resize"},
        {"intensities": "unit_range"},
        {"grid_size": 224},
        {"swin": "tiny"},
    ],
)
def test_what_the_initial_model_decides_cannot_be_set(
    tmp_path: Path, setting: dict[str, object]
) -> None:
    (name, value), *_ = setting.items()
    settings = {"data": ".", "init_from": str(default_model_path())}
    message = rf"--{name.replace('_', '-')} {value}: the run starts from .*leave it out"
    with pytest.raises(ConfigError, match=message):
        make_config("small", {**settings, **setting})
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(setting))
    with pytest.raises(ConfigError, match=message):
        make_config("small", settings, file)


def test_hearts_of_one_size_come_with_the_initial_model(tmp_path: Path) -> None:
    scaled = make_config(
        "small", {"data": ".", "heart_crop_size": 96, "heart_extent_mm": 110.0, "grid_size": 128}
    )
    save_checkpoint(
        tmp_path,
        build_graph(scaled.to_dict()),
        ModelDescription(scaled.to_dict(), 1, (0.5, 0.5), {}),
    )
    settings = {"data": ".", "init_from": str(tmp_path)}
    pair = make_config("small", settings).pair
    assert (pair.heart_crop_size, pair.heart_extent_mm) == (96, 110.0)
    pair = make_config("small", {**settings, "heart_crop_size": 0}).pair
    assert (pair.heart_crop_size, pair.heart_extent_mm) == (0, 0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "gone"}, "gone: no such file or folder"),
        ({"unlabelled": ["gone"]}, "gone: no such file or folder"),
        ({"steps": 0}, "--steps must be greater than or equal to 1, got 0"),
        ({"optimization": {"steps": 0}}, "--steps must be greater than or equal to 1, got 0"),
        ({"batch": 1}, "--batch must be greater than or equal to 2, got 1"),
        ({"labelled": 0}, "--labelled must be greater than or equal to 1"),
        ({"labelled": 1, "labelled_list": "names.txt"}, "--labelled and --labelled-list exclude"),
        ({"labelled_batch": 9}, "--labelled-batch must lie in 1…8"),
        ({"ema_decay": 1.0}, "--ema-decay must be less than 1"),
        ({"confidence": 2.0}, "--confidence must be less than or equal to 1"),
        ({"cnn_rate": float("nan")}, "--cnn-rate must be a finite number"),
        ({"unlabelled_weight": -1.0}, "--unlabelled-weight must be greater than or equal"),
        ({"warm_up": 0.6}, "--ramp must be above --warm-up"),
        ({"other_teacher_share": 0.6, "confidence": 0.8}, "choose a confidence below 0.8"),
        ({"method": "self_training"}, "--method must be 'cross_teaching', 'labelled_only'"),
        ({"optimizer": "adam"}, "--optimizer must be 'adamw' or 'sgd', got 'adam'"),
        ({"networks": ("unet",)}, "--networks takes two names"),
        ({"networks": ("unet", "vit")}, "unknown network 'vit'"),
        ({"networks": 2}, "--networks must be a valid tuple, got 2"),
        ({"heart_crop_size": 100}, "--heart-crop-size must be a multiple of 32, got 100"),
        (
            {"heart_crop_size": 160},
            "--heart-crop-size must be 0, or a multiple of 32 below the grid's 160 pixels; got 160",
        ),
        ({"steps": "many"}, "--steps must be a valid integer"),
        ({"color": "red"}, "unknown setting color; known are augmentation, batch,"),
        ({"optimization": {"stepz": 1}}, "unknown setting stepz"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config("small", {"data": ".", **settings})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_must_be_named() -> None:
    with pytest.raises(ConfigError, match="data is missing"):
        TrainingConfig(steps=3)


def test_an_unknown_preset() -> None:
    with pytest.raises(ConfigError, match="unknown preset 'worst'; choose one of paper, best, sma"):
        make_config("worst", {"data": "."})


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot be read as JSON"), ("[]", "must hold an object"), ('{"stepz": 1}', "stepz")],
)
def test_files_that_hold_no_settings(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        make_config("small", {"data": "."}, file)
    assert str(caught.value).startswith(f"{file}: ")


def test_not_all_labelled_slices_are_partly_labelled() -> None:
    for share in (0.0, 1.0):
        with pytest.raises(ConfigError, match=r"--partly-labelled-share"):
            TrainingConfig(data=".", partly_labelled_share=share)
    with pytest.raises(ConfigError, match="nowhere: no such file or folder to train on"):
        TrainingConfig(data=".", partly_labelled=["nowhere"])


@pytest.mark.parametrize(("preset", "size", "extent_mm"), [("small", 96, 110), ("best", 128, 120)])
def test_heart_crops_of_the_presets(preset: str, size: int, extent_mm: float) -> None:
    def crop(**settings: object) -> tuple[int, float]:
        pair = make_config(preset, {"data": ".", **settings}).pair
        return pair.heart_crop_size, pair.heart_extent_mm

    assert crop() == crop(steps=7) == (size, extent_mm)
    assert crop(heart_extent_mm=100) == (size, 100)
    assert crop(grid_size=64) == crop(grid_spacing_mm=2.0) == crop(grid="resize") == (0, 0)
    assert crop(heart_crop_size=0) == (0, 0)
    assert crop(heart_crop_size=64) == (64, 0)
    assert crop(grid_size=128, heart_crop_size=64, heart_extent_mm=60) == (64, 60)


@pytest.mark.parametrize("extent_mm", [20, 132])  # 96 pixels of 1.5 mm are 144 mm
def test_hearts_that_fit_the_crop(extent_mm: float) -> None:
    settings = {"heart_crop_size": 96, "heart_extent_mm": extent_mm}
    pair = TrainingConfig(data=".", **settings).pair
    assert pair.heart_extent_mm == extent_mm
    assert crop_scale(100.0, 144.0, extent_mm) == extent_mm / 100


@pytest.mark.parametrize("extent_mm", [19, 133])
def test_hearts_that_do_not_fit_the_crop(extent_mm: float) -> None:
    settings = {"heart_crop_size": 96, "heart_extent_mm": extent_mm}
    with pytest.raises(ConfigError, match=r"--heart-extent-mm must lie in 20…132.*got 1"):
        TrainingConfig(data=".", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heart_extent_mm": 110}, "--heart-extent-mm needs a --heart-crop-size"),
        ({"heart_crop_size": 96, "heart_crop_share": 1}, "--heart-crop-share must be less than 1"),
    ],
)
def test_settings_of_heart_crops_that_make_no_sense(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(data=".", **settings)


def test_no_heart_crop_of_stretched_slices() -> None:
    with pytest.raises(ConfigError, match="--heart-crop-size needs --grid spacing"):
        TrainingConfig(data=".", heart_crop_size=96, grid="resize")
