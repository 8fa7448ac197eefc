from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ctct.exporters.trained_pair import TrainedPair
from ctct.model_files.variant import Variant
from ctct.models.checkpoint import load_checkpoint, save_checkpoint


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, ("ACDC; fine-tuned on ours", "CC0")),
        ({"license": "MIT"}, ("ACDC; fine-tuned on ours", "MIT")),
        ({"training_data": "more", "license": ""}, ("more", "")),
        ({"step": "9"}, ("ACDC; fine-tuned on ours", "CC0")),  # only these two are replaced
    ],
)
def test_training_data_and_license_of_a_run(
    small_run: Path, tmp_path: Path, overrides: dict[str, str], expected: tuple[str, str]
) -> None:
    graph, description = load_checkpoint(small_run)
    described = replace(description, training_data="ACDC; fine-tuned on ours", license="CC0")
    save_checkpoint(tmp_path, graph, described)
    metadata = TrainedPair(tmp_path, Variant(), metadata=overrides).metadata
    assert (metadata["training_data"], metadata["license"]) == expected
    assert metadata["step"] == 5


def test_license_of_the_bundled_model() -> None:
    metadata = TrainedPair("default", Variant()).metadata
    assert metadata["license"].startswith("CC BY-NC-SA 4.0")
    assert metadata["training_data"].startswith("ACDC")
    assert "licence" not in metadata
