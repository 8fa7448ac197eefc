from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctct.errors import ConfigError
from ctct.model_files.model_file import find_model
from ctct.models.checkpoint import ModelDescription, load_checkpoint
from ctct.training.config import TrainingConfig
from ctct.training.resume import RESUME_FILE
from ctct.training.run import describe_origin, prepare_run, write_settings
from ctct.training.split import Split


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    with pytest.raises(ConfigError, match="first: there is no run to continue"):
        prepare_run(folder, resume=True)
    prepare_run(folder, resume=False)
    assert folder.is_dir()


def test_a_folder_with_a_run(tmp_path: Path) -> None:
    (tmp_path / RESUME_FILE).touch()
    prepare_run(tmp_path, resume=True)
    with pytest.raises(ConfigError, match="holds a run already; continue it with --resume"):
        prepare_run(tmp_path, resume=False)


def test_settings_and_split_are_read_as_they_were_written(tmp_path: Path) -> None:
    config = TrainingConfig(data=".", steps=7)
    write_settings(tmp_path, config, Split(("a",), ("b", "c"), ("d",), ("e",), "drawn"))
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["optimization"]["steps"] == 7  # in groups
    assert TrainingConfig.model_validate(written) == config
    assert json.loads((tmp_path / "split.json").read_text()) == {
        "labelled": ["a"],
        "unlabelled": ["b", "c"],
        "validation": ["d"],
        "left_out": ["e"],
        "method": "drawn",
    }


@pytest.mark.parametrize(
    ("training_data", "expected"),
    [
        ("ACDC", "ACDC; fine-tuned on other data"),
        ("ACDC; fine-tuned on other data", "ACDC; fine-tuned on other data"),  # said once
        ("", "fine-tuned on other data"),
    ],
)
def test_origin_of_a_run_from_another_model(training_data: str, expected: str) -> None:
    initial = ModelDescription({}, 5, (0.5, 0.5), {}, training_data, "CC0")
    assert describe_origin(initial) == {"training_data": expected, "license": "CC0"}


def test_origin_of_a_run_from_the_bundled_model() -> None:
    origin = describe_origin(load_checkpoint(find_model().path)[1])
    assert origin["training_data"].startswith("ACDC (Bernard et al.")
    assert origin["training_data"].endswith("; fine-tuned on other data")
    assert origin["license"].startswith("CC BY-NC-SA 4.0")
