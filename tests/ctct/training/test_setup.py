from __future__ import annotations

import logging
from pathlib import Path

import pytest
from lightning_fabric import Fabric
from tests_support import write_partly_labelled

from ctct.errors import ConfigError
from ctct.training.config import TrainingConfig
from ctct.training.data.slices import Heart
from ctct.training.setup import build_students, set_up


@pytest.mark.parametrize("reached", [False, True])
def test_settings_tell_whether_there_were_imagenet_weights(
    acdc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    monkeypatch.setattr("ctct.models.swin_unet.SwinUNet._load_imagenet", lambda *arguments: reached)
    networks = ("unet", "swin_unet")
    config = TrainingConfig(data=acdc, grid_size=64, networks=networks, pretrained=True)
    run = set_up(config, tmp_path, Fabric(accelerator="cpu"), resume=False)
    assert run.config.pair.pretrained == reached
    written = TrainingConfig.model_validate_json((tmp_path / "config.json").read_bytes())
    assert written == run.config


def test_no_pretrained_asks_no_hub(acdc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctct.models.swin_unet.SwinUNet._load_imagenet", pytest.fail)
    config = TrainingConfig(data=acdc, grid_size=64, networks=("unet", "swin_unet"))
    build_students(config, Fabric(accelerator="cpu"), resume=False)


def test_a_method_without_anything_to_learn_from(
    acdc: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fabric = Fabric(accelerator="cpu")
    config = TrainingConfig(data=acdc, grid_size=64, method="mean_teacher")
    with pytest.raises(ConfigError, match="--method mean_teacher learns from scans without labels"):
        set_up(config, tmp_path, fabric, resume=False)
    for method, says_so in (("cross_teaching", True), ("labelled_only", False)):
        caplog.clear()
        settings = TrainingConfig(data=acdc, grid_size=64, method=method)
        run = set_up(settings, tmp_path, fabric, resume=False)
        assert len(run.unlabelled) == len(run.labelled)
        assert ("every training patient has labels" in caplog.text) == says_so


def test_a_run_goes_on_with_its_partly_labelled_patients(acdc: Path, tmp_path: Path) -> None:
    write_partly_labelled(tmp_path / "children")
    config = TrainingConfig(data=acdc, grid_size=64, partly_labelled=[tmp_path / "children"])
    fabric, folder = Fabric(accelerator="cpu"), tmp_path
    run = set_up(config, folder, fabric, resume=False)
    assert run.partly_labelled is not None
    drawn = run.partly_labelled.draw(3, run.generator)
    run.partly_labelled.set_hearts({"sbj02": Heart(1.0, -2.0, 80.0)})
    run.save()
    again = set_up(config, folder, fabric, resume=True).partly_labelled
    assert again is not None
    assert again.found_hearts == {"sbj02": (1.0, -2.0, 80.0)}
    assert again.center_mm[-1].tolist() == [1.0, -2.0]
    rest = {*again.waiting.tolist()}
    assert len(rest) == len(again) - 3
    assert not rest & {*drawn.tolist()}
