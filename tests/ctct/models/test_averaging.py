from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ctct.errors import ConfigError, ModelError
from ctct.models.averaging import average, write_average
from ctct.models.checkpoint import MODEL_FILE, ModelDescription, load_checkpoint, save_checkpoint
from ctct.models.networks import build_graph

DESCRIPTION = ModelDescription(
    config={"swin": "nano", "grid_size": 64, "grid_spacing_mm": 1.4, "pretrained": False},
    step=7,
    member_weights=(0.5, 0.5),
    validation_dice={"cnn": 0.8, "transformer": 0.9, "ensemble": 0.91},
)


def save(folder: Path, value: float, members: tuple[float, float], **config: object) -> Path:
    """A pair whose weights all have ``value``."""
    description = replace(DESCRIPTION, config=DESCRIPTION.config | config)
    graph = build_graph(description.config)
    for tensor in graph.state_dict().values():
        tensor.fill_(value)
    graph.member_weights.copy_(torch.tensor(members))
    folder.mkdir()
    save_checkpoint(folder, graph, description)
    return folder


def test_each_weight_is_the_mean_by_the_share(tmp_path: Path) -> None:
    one = save(tmp_path / "one", 8.0, (0.75, 0.25))
    two = save(tmp_path / "two", 4.0, (0.25, 0.75))
    path = write_average(one, two, 0.75, tmp_path / "mean")
    assert path == tmp_path / "mean" / MODEL_FILE
    graph, description = load_checkpoint(tmp_path / "mean")
    for name, tensor in graph.state_dict().items():
        if name == "member_weights":
            torch.testing.assert_close(tensor, torch.tensor([0.625, 0.375]))
        elif tensor.is_floating_point():
            assert (tensor == 7.0).all(), name  # 0.75 · 8 + 0.25 · 4
        else:
            assert (tensor == 8).all(), name  # counters are those of the first
    assert description == replace(
        DESCRIPTION, config=description.config, member_weights=(0.625, 0.375), validation_dice={}
    )


def test_a_pair_and_itself_have_their_own_weights_as_mean(tmp_path: Path) -> None:
    graph = build_graph(DESCRIPTION.config)
    save_checkpoint(tmp_path, graph, DESCRIPTION)
    mean, _ = average(tmp_path, tmp_path, 0.3)
    for name, tensor in mean.state_dict().items():
        torch.testing.assert_close(tensor, graph.state_dict()[name], msg=name)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_out_of_range_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="--share"):
        average(tmp_path, tmp_path, share)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    one = save(tmp_path / "one", 1.0, (0.5, 0.5))
    two = save(tmp_path / "two", 1.0, (0.5, 0.5), networks=["unet", "unet"])
    with pytest.raises(ConfigError, match="their networks differ"):
        average(one, two, 0.5)


def test_a_folder_with_a_model_is_not_overwritten(tmp_path: Path) -> None:
    one = save(tmp_path / "one", 1.0, (0.5, 0.5))
    with pytest.raises(ConfigError, match="choose another folder"):
        write_average(one, one, 0.5, one)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        average(tmp_path / "none", tmp_path / "none", 0.5)
