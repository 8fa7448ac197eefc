from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from ctct.errors import ModelError, OutputError
from ctct.models.checkpoint import (
    MODEL_FILE,
    ModelDescription,
    load_checkpoint,
    read_run,
    save_checkpoint,
)
from ctct.models.graph import SegmentationGraph
from ctct.models.networks import build_graph

DESCRIPTION = ModelDescription(
    config={"swin": "nano", "grid_size": 64, "grid_spacing_mm": 1.4, "pretrained": False},
    step=123,
    member_weights=(0.25, 0.75),
    validation_dice={"cnn": 0.8, "transformer": 0.9, "ensemble": 0.91},
)


@pytest.fixture(scope="module")
def graph() -> SegmentationGraph:
    torch.manual_seed(0)
    graph = build_graph(DESCRIPTION.config).eval()
    graph.member_weights.copy_(torch.tensor(DESCRIPTION.member_weights))
    return graph


@pytest.mark.parametrize("name", ["", MODEL_FILE])
def test_round_trip(graph: SegmentationGraph, tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, graph, DESCRIPTION)
    found, description = load_checkpoint(tmp_path / name)
    assert description == DESCRIPTION
    assert found.grid == graph.grid
    assert not found.training
    slices = torch.rand(2, 1, 50, 60, generator=torch.Generator().manual_seed(0))
    spacing_mm = torch.tensor([[1.2, 1.2], [1.5, 1.7]])
    for loaded, saved in zip(found(slices, spacing_mm), graph(slices, spacing_mm), strict=True):
        torch.testing.assert_close(loaded, saved, atol=1e-6, rtol=0)


def test_a_run_says_what_grids_it_has(tmp_path: Path) -> None:
    config = DESCRIPTION.config | {"heart_crop_size": 32, "heart_extent_mm": 30.0}
    save_checkpoint(tmp_path, build_graph(config), replace(DESCRIPTION, config=config))
    whole = {"size": 64, "spacing_mm": 1.4, "stretch": False, "intensities": "z_score"}
    run = read_run(tmp_path / MODEL_FILE)
    assert run.description["grid"] == whole
    assert run.heart_crop is not None
    assert run.heart_crop.path == run.path
    assert run.heart_crop.description["grid"] == whole | {"size": 32, "heart_extent_mm": 30.0}
    assert read_run(tmp_path / MODEL_FILE, heart_crop=False).heart_crop is None


def test_a_run_without_heart_crops_has_one_grid(graph: SegmentationGraph, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, graph, DESCRIPTION)
    assert read_run(tmp_path / MODEL_FILE).heart_crop is None


def test_nothing_but_the_model_is_left(graph: SegmentationGraph, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, graph, DESCRIPTION)
    save_checkpoint(tmp_path, graph, replace(DESCRIPTION, step=124))
    assert [path.name for path in tmp_path.iterdir()] == [MODEL_FILE]
    assert load_checkpoint(tmp_path)[1].step == 124


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_permissions_follow_the_umask(
    graph: SegmentationGraph, tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        save_checkpoint(tmp_path, graph, DESCRIPTION)
    finally:
        os.umask(before)
    assert (tmp_path / MODEL_FILE).stat().st_mode & 0o777 == mode


def test_a_folder_in_the_way(graph: SegmentationGraph, tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE / "full").mkdir(parents=True)
    with pytest.raises(OutputError, match=rf"{MODEL_FILE}: cannot be written \("):
        save_checkpoint(tmp_path, graph, DESCRIPTION)
    assert [path.name for path in tmp_path.iterdir()] == [MODEL_FILE]


def test_training_data_and_license(graph: SegmentationGraph, tmp_path: Path) -> None:
    described = replace(DESCRIPTION, training_data="ACDC", license='CC "é"')
    save_checkpoint(tmp_path, graph, described)
    assert load_checkpoint(tmp_path)[1] == described
    metadata = described.to_metadata()
    metadata["licence"] = metadata.pop("license")  # of version 0.1
    assert ModelDescription.from_metadata(metadata) == described
    del metadata["licence"], metadata["training_data"]
    assert ModelDescription.from_metadata(metadata) == DESCRIPTION


def test_loading_asks_no_hub(
    graph: SegmentationGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hub(*_: object, **__: object) -> nn.Module:
        raise AssertionError("the model hub was asked")

    monkeypatch.setattr(timm, "create_model", hub)
    config = {**DESCRIPTION.config, "pretrained": True}
    save_checkpoint(tmp_path, graph, replace(DESCRIPTION, config=config))
    assert load_checkpoint(tmp_path)[1].config == config


@pytest.mark.parametrize("name", ["none", "none.safetensors", "none.onnx"])
def test_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=f"{name}: no such model"):
        load_checkpoint(tmp_path / name)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{MODEL_FILE}: no such model"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"text, not tensors",
        lambda data: data[:1000],
        lambda data: data[:-1000],
        lambda data: data.replace(b'"member_weights"', b'"member-weights"'),
        lambda data: data.replace(b'"step":"123"', b'"step":"one"'),
        lambda data: data.replace(b"nano", b"vast"),  # a size that does not exist
        lambda data: data.replace(b'\\"grid_size\\": 64', b'\\"grid_size\\": 96'),
        lambda data: data.replace(b'\\"grid_size\\": 64', b'\\"grid_size\\": 65'),
        lambda data: data.replace(b"cnn.head.bias", b"cnn.head.base"),
    ],
)
def test_damaged(
    graph: SegmentationGraph, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    save_checkpoint(tmp_path, graph, DESCRIPTION)
    path = tmp_path / MODEL_FILE
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    with pytest.raises(ModelError) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: not a model of ctct (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metadata", [None, {"config": "[]", "step": "1"}])
def test_tensors_of_something_else(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", metadata)
    with pytest.raises(ModelError, match="not a model of ctct"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_the_former_network_on_encoders_of_timm_is_refused_by_name(tmp_path: Path) -> None:
    config = {**DESCRIPTION.config, "networks": ["timm:resnet34", "swin_unet"]}
    metadata = replace(DESCRIPTION, config=config).to_metadata()
    tensors = {"cnn.encoder.conv1.weight": torch.zeros(3), "cnn.adapt.0.bias": torch.zeros(3)}
    save_file(tensors, tmp_path / MODEL_FILE, metadata)
    with pytest.raises(ModelError, match=r"its timm:resnet34 is of ctct 0\.1.*train it again"):
        load_checkpoint(tmp_path)
