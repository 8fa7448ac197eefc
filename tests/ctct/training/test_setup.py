from __future__ import annotations

from pathlib import Path

import pytest
from lightning_fabric import Fabric

from ctct.training.config import TrainingConfig
from ctct.training.setup import build_students, set_up


@pytest.mark.parametrize("reached", [False, True])
def test_settings_tell_whether_there_were_imagenet_weights(
    acdc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    monkeypatch.setattr("ctct.models.swin_unet._load_imagenet", lambda *arguments: reached)
    networks = ("unet", "swin_unet")
    config = TrainingConfig(data=acdc, grid_size=64, networks=networks, pretrained=True)
    run = set_up(config, tmp_path, Fabric(accelerator="cpu"), resume=False)
    assert run.config.pair.pretrained == reached
    written = TrainingConfig.model_validate_json((tmp_path / "config.json").read_bytes())
    assert written == run.config


def test_no_pretrained_asks_no_hub(acdc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctct.models.swin_unet._load_imagenet", pytest.fail)
    config = TrainingConfig(data=acdc, grid_size=64, networks=("unet", "swin_unet"))
    build_students(config, Fabric(accelerator="cpu"), resume=False)
