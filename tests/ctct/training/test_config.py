from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctct.errors import ConfigError
from ctct.model_files.model_file import default_model_path
from ctct.training.config import PRESETS, TrainingConfig, make_config


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_round_trip(preset: str) -> None:
    config = make_config(preset, {"data": "."})
    assert config.preset == preset
    again = TrainingConfig(**json.loads(json.dumps(config.to_dict())))
    assert again == config


def test_the_published_method() -> None:
    # Luo et al., MIDL 2022, section 3.
    paper = make_config("paper", {"data": "."})
    assert (paper.batch, paper.labelled_batch_size, paper.steps, paper.grid_size) == (
        16,
        8,
        30000,
        224,
    )
    assert (paper.optimizer, paper.schedule, paper.weight_decay) == ("sgd", "poly", 1e-4)
    assert paper.cnn_rate == paper.transformer_rate == 0.01
    assert (paper.cross_teaching_weight, paper.ramp, paper.pseudo_loss) == (0.1, 1.0, "dice")
    assert (paper.teacher, paper.other_teacher_share, paper.confidence) == ("student", 1.0, 0.0)
    assert (paper.cut_mix, paper.keep, paper.ema_decay) == (0.0, "last", 0.0)


def test_flags_change_the_file_and_the_file_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"steps": 7, "seed": 3, "networks": ["unet", "unet"]}))
    config = make_config("best", {"data": ".", "seed": 4}, file)
    assert (config.batch, config.steps, config.seed) == (16, 7, 4)
    assert config.networks == ("unet", "unet")


def test_a_model_to_start_from_brings_its_networks_and_grid() -> None:
    bundled = str(default_model_path())
    config = make_config("best", {"data": ".", "init_from": bundled})
    assert config.networks == ("unet", "swin_hybrid")
    assert (config.swin, config.grid_size, config.grid_spacing_mm) == ("nano", 160, 1.5)
    assert config.heart_crop_size == 96
    assert (
        make_config(
            "best", {"data": ".", "init_from": bundled, "heart_crop_size": 0}
        ).heart_crop_size
        == 0
    )
    assert config.batch == 16  # what is no matter of the networks remains the preset's
    assert make_config("best", {**config.to_dict(), "networks": ("unet", "unet")}).networks == (
        "unet",
        "unet",
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "gone"}, "gone: no such file or folder"),
        ({"steps": 0}, "--steps must be positive, got 0"),
        ({"batch": 1}, "--batch must be at least 2"),
        ({"labelled": 0}, "--labelled must be at least 1"),
        ({"labelled_batch": 9}, "--labelled-batch must lie in 1…8"),
        ({"ema_decay": 1.0}, "--ema-decay must lie in"),
        ({"confidence": 2.0}, "--confidence must lie in 0…1"),
        ({"cross_teaching_weight": -1.0}, "--cross-teaching-weight must not be negative"),
        ({"optimizer": "adam"}, "--optimizer must be one of adamw, sgd, got 'adam'"),
        ({"networks": ("unet",)}, "--networks takes two names"),
        ({"networks": ("unet", "vit")}, "unknown network 'vit'"),
        (
            {"heart_crop_size": 100},
            "--heart-crop must be 0, or a multiple of 32 below the grid's 160 pixels",
        ),
        ({"heart_crop_size": 160}, "got 160"),
        ({"steps": "many"}, "settings: "),
        ({"color": "red"}, "color"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config("small", {"data": ".", **settings})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot be read as JSON"), ("[]", "must hold an object"), ('{"stepz": 1}', "stepz")],
)
def test_files_that_are_no_settings(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        make_config("small", {"data": "."}, file)
