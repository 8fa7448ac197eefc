from __future__ import annotations

from pathlib import Path

import pytest
from tests_support import write_acdc, write_partly_labelled

from ctct.benchmark.training import PUBLISHED, training_speed
from ctct.training.config import TrainingConfig


def test_both_learn_from_the_same_slices(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    write_acdc(tmp_path / "acdc")
    write_partly_labelled(tmp_path / "children")
    settings = {**PUBLISHED, "labelled": 1, "grid_size": 64, "batch": 4, "precision": "fp32"}
    folders = {"data": tmp_path / "acdc", "partly_labelled": [tmp_path / "children"]}
    config = TrainingConfig(**folders, **settings)
    turns: list[str] = []
    ctct, reference, precision = training_speed(
        config, "cpu", steps=2, rounds=1, workers=0, observe=turns.append
    )
    assert turns == ["ctct", "reference"] * 2
    assert ctct.amount == reference.amount == 2
    assert ctct.seconds[0] > 0
    assert precision == "32-true"
